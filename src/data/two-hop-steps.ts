/** Published two-hop data in the form in which both hops can be followed: answers `E2 E3`, and every fact as texts. */
import type { ConceptDefinition, DatasetItem, FactItem, ImportStream, PromptItem } from './items.ts';
import { FACT_PHRASINGS, stateFact } from './two-hop-phrasings.ts';

/**
 * The same facts, each stated in `factPhrasings` wordings of ours, and the same two-hop questions in the same splits with
 * E2 before the answer; questions that are answered so already, and one-hop questions, stay as they are.
 * @throws {Error} for a question whose first fact is not among the facts.
 */
export function* stepwiseItems(
  concepts: readonly Pick<ConceptDefinition, 'key' | 'label'>[],
  facts: readonly FactItem[],
  prompts: Iterable<PromptItem>,
  factPhrasings = FACT_PHRASINGS.length,
): Generator<DatasetItem> {
  const labels = new Map(concepts.map(({ key, label }) => [key, label]));
  yield* facts;
  for (const { concept, entity, value } of facts)
    for (const text of stateFact(factPhrasings, labels.get(concept)!, entity, value))
      yield { type: 'text', text, entity, split: 'TRAIN' };
  const keyOf = (entity: string, concept: string) => JSON.stringify([entity, concept]);
  const values = new Map(facts.map(({ entity, concept, value }) => [keyOf(entity, concept), value]));
  for (const prompt of prompts) yield answeredByStep(prompt, (e, c) => values.get(keyOf(e, c)));
}

/** The same for files that are being read; other items than facts and prompts pass by. Texts stand for wordings of ours. */
export function spellOutSteps({ ontology, items }: ImportStream): ImportStream {
  return { ontology, items: spelledOut(ontology.concepts, items) };
}

async function* spelledOut(
  concepts: readonly ConceptDefinition[],
  items: ImportStream['items'],
): AsyncGenerator<DatasetItem> {
  const facts: FactItem[] = [];
  const prompts: PromptItem[] = [];
  let isStated = false;
  for await (const item of items) {
    if (item.type === 'fact') facts.push(item);
    else if (item.type === 'prompt') prompts.push(item);
    else {
      isStated = true;
      yield item;
    }
  }
  yield* stepwiseItems(concepts, facts, prompts, isStated ? 0 : undefined);
}

function answeredByStep(
  prompt: PromptItem,
  lookUp: (entity: string, concept: string) => string | undefined,
): PromptItem {
  const { entity, concepts, answer } = prompt;
  if (concepts.length !== 2 || answer === null) return prompt;
  const middle = lookUp(entity, concepts[0]!);
  if (middle === undefined) throw new Error(`no fact for the first hop of ${JSON.stringify(prompt.prompt)}`);
  const end = lookUp(middle, concepts[1]!);
  return answer === end ? { ...prompt, answer: `${middle} ${answer}` } : prompt;
}
