/** The lines beside captured activations: line n says what the n-th row is the activation of. */
import { z } from 'zod';
import type { OntologyDefinition, PromptItem } from './items.ts';
import { parseJsonLine } from './jsonLine.ts';
import { type Bytes, readLines } from './lines.ts';
import { Problems } from './problems.ts';
import { conceptKey, longText, shortText, split } from './text.ts';

const activationLine = z
  .object({
    prompt: longText,
    concept: conceptKey,
    entity: shortText,
    answer: shortText.optional(),
    split: split.default('TRAIN'),
    template: shortText.optional(),
  })
  .strict();

/**
 * The prompts of a file, in order, read as they are asked for.
 * @param known Where concepts must be of an ontology; null lets any be.
 * @throws AppError INVALID_INPUT listing bad lines with their numbers, at the latest at the end.
 */
export async function* readActivationLines(
  bytes: Bytes,
  known: OntologyDefinition | null,
): AsyncGenerator<PromptItem> {
  const keys = known && new Set(known.concepts.map(({ key }) => key));
  const problems = new Problems('line');
  for await (const { number, text, problem } of readLines(bytes)) {
    if (problem) problems.add(number, problem);
    // A row has a line, so none may be left out.
    else if (!text.trim()) problems.add(number, 'it is empty; every row of the activations has a line');
    else {
      const { data, reason } = parseJsonLine(text, activationLine);
      if (data === null) problems.add(number, reason);
      else if (keys && !keys.has(data.concept))
        problems.add(number, `concept ${data.concept} is not in ontology ${known.slug}`);
      else yield toPrompt(data);
    }
  }
  problems.throwIfAny();
}

function toPrompt({ concept, answer, template, ...rest }: z.output<typeof activationLine>): PromptItem {
  return {
    ...rest,
    type: 'prompt',
    answer: answer ?? null,
    template: template ?? concept,
    concepts: [concept],
  };
}
