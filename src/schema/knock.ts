/** What single slots do to answers. */
import type { KNOCK_EDITS } from '../engine/contract/alignment.ts';
import { conceptsByIds } from '../services/ontology.ts';
import type { SlotKnock } from '../services/slot.ts';
import { builder } from './builder.ts';
import { conceptOfRun } from './conceptOfRun.ts';
import { ConceptRef } from './refs.ts';
import { SplitRef } from './split.ts';

export const KnockEdit = builder.enumType('KnockEdit', {
  description: 'How a single slot is edited; what the SAE does not rebuild of the activation stays in it.',
  values: {
    KNOCK_OUT: { description: 'It is set to 0 on prompts about its concept.' },
    KNOCK_IN: {
      description: 'It is set to 1 on prompts about other concepts, whose own slots stay as they are.',
    },
  } satisfies Record<(typeof KNOCK_EDITS)[number], object>,
});

interface Change {
  answers: number;
  change: number | null;
}

const ANSWERS =
  'Over how many answers. Left out are entities without a value, and values that begin as the answer does.';
const CHANGE =
  'Mean change of the log-odds, log p − log(1 − p), of their first tokens, in nats; null without answers.';

const AnswerChangeRef = builder.objectRef<Change>('AnswerChange').implement({
  description: 'How an edit changes the chance of answers.',
  fields: (t) => ({
    answers: t.exposeInt('answers', { description: ANSWERS }),
    change: t.exposeFloat('change', { nullable: true, description: CHANGE }),
  }),
});

const ConceptAnswerChangeRef = builder
  .objectRef<Change & { runId: string; concept: number }>('ConceptAnswerChange')
  .implement({
    description: 'How an edit changes the chance of answers about one concept, where another is asked.',
    fields: (t) => ({
      concept: t.field(conceptOfRun('The concept that the answers are about.', (answers) => answers)),
      answers: t.exposeInt('answers', { description: ANSWERS }),
      change: t.exposeFloat('change', { nullable: true, description: CHANGE }),
    }),
  });

export const SlotKnockRef = builder.objectRef<SlotKnock>('SlotKnock').implement({
  description:
    'What one slot does to answers by itself, at the last prompt token. Asked are up to 120 prompts, as many of each concept, about entities that the SAE never saw, in held-out phrasings where there are any.',
  fields: (t) => ({
    concept: t.field({
      type: ConceptRef,
      description: 'The concept of the slot.',
      resolve: async ({ conceptId }, _args, { loaders }) => (await loaders.load(conceptsByIds, conceptId))!,
    }),
    edit: t.field({ type: KnockEdit, description: 'What is done to it.', resolve: ({ edit }) => edit }),
    split: t.field({
      type: SplitRef,
      description: 'Which phrasings are asked.',
      resolve: ({ split }) => split,
    }),
    prompts: t.exposeInt('prompts', { description: 'Number of prompts asked.' }),
    asked: t.field({
      type: AnswerChangeRef,
      description:
        'Of the answers that are asked for: knocked out, the slot’s own; knocked in, those of the other concepts.',
      resolve: ({ askedAnswers, askedChange }) => ({ answers: askedAnswers, change: askedChange }),
    }),
    others: t.field({
      type: [ConceptAnswerChangeRef],
      description:
        'Of the same entities’ values for each concept, in the order of the ontology, over the prompts that ask something else. Knocked in, the entry of the slot’s own concept tells what the slot brings about.',
      complexity: { field: 1, multiplier: 6 },
      resolve: ({ runId, others }) => others.map((change, concept) => ({ ...change, runId, concept })),
    }),
  }),
});
