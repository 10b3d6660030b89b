/** Checks of the texts that datasets and ontologies are made of. */
import { z } from 'zod';

/** What Postgres, tokenizers and one line of a terminal can all hold. */
const text = (max: number) =>
  z
    .string({ error: 'must be text' })
    .trim()
    .min(1, { error: 'must not be empty' })
    .max(max, { error: (issue) => `must have at most ${max} characters, got ${String(issue.input).length}` })
    .regex(/^[^\p{Cc}\p{Cs}]*$/u, { error: 'must not contain control characters or halves of characters' })
    .normalize('NFC');

export const MAX_SHORT_TEXT = 200;
export const MAX_LONG_TEXT = 4000;
export const MAX_CONCEPTS = 1000;

/** Names, values and answers. */
export const shortText = text(MAX_SHORT_TEXT);
/** Prompts and sentences. */
export const longText = text(MAX_LONG_TEXT);

export const slug = z
  .string({ error: 'must be text' })
  .max(64, { error: 'must have at most 64 characters' })
  .regex(/^[a-z0-9]+(-[a-z0-9]+)*$/, {
    error: 'must be lower-case letters and digits with single hyphens between, such as two-hop',
  });

export const conceptKey = z
  .string({ error: 'must be text' })
  .max(64, { error: 'must have at most 64 characters' })
  .regex(/^[a-z][a-z0-9_]*$/, {
    error: 'must begin with a lower-case letter and go on with letters, digits or _, such as birth_date',
  });

export const description = text(MAX_LONG_TEXT).or(z.literal('')).default('');

/** The name of a split, in whatever case. */
export const split = z
  .string()
  .transform((value) => value.toUpperCase())
  .pipe(z.enum(['TRAIN', 'VALIDATION', 'TEST_OOD'], { error: 'must be TRAIN, VALIDATION or TEST_OOD' }));

/** Texts that stand as they are given, line breaks and blanks at the ends included. */
const verbatim = (max: number) =>
  z
    .string({ error: 'must be text' })
    .min(1, { error: 'must not be empty; leave it out' })
    .max(max, { error: (issue) => `must have at most ${max} characters, got ${String(issue.input).length}` })
    .regex(/^([^\p{Cc}\p{Cs}]|[\n\t])*$/u, {
      error: 'must not contain control characters, but for line breaks and tabs, or halves of characters',
    })
    .normalize('NFC');

export const MAX_PREFIX = 10_000;

/** How the prompts of a dataset are put to a model. */
export const promptedFields = {
  prefix: verbatim(MAX_PREFIX)
    .optional()
    .describe(
      'What a model reads before every prompt, as it is, such as a few questions with their answers, a line each; the prompts are stored without it. Its tokens count in the context.',
    ),
  answerEnd: verbatim(20)
    .optional()
    .describe(
      "What ends an answer besides the model's end token, such as the full stop that ends the answers of the prefix; whatever follows it is no part of the answer.",
    ),
  chat: z
    .boolean()
    .optional()
    .describe(
      "Whether every prompt is put as a user's message of a chat, by the model's chat template, with the prefix at the beginning of the message; the answer is what the model says to it.",
    ),
  letterCase: z
    .boolean()
    .optional()
    .describe(
      'Whether answers must agree with those accepted in letter case too, so that "raise" is not taken for "RAISE".',
    ),
};
