/** What generators and importers yield, one at a time, so that a dataset never has to be in memory whole. */
import type { Concept, EngineDataset, Fact, Prompt, Split, Text } from '../engine/contract/dataset.ts';

/** A concept as an ontology describes it; `EngineDataset` keeps only key and label. */
export interface ConceptDefinition extends Concept {
  description: string;
}

/** An ontology before it is stored. */
export interface OntologyDefinition {
  slug: string;
  name: string;
  description: string;
  concepts: readonly ConceptDefinition[];
}

export interface FactItem {
  type: 'fact';
  entity: string;
  /** A concept's key. */
  concept: string;
  value: string;
}

export interface PromptItem {
  type: 'prompt';
  prompt: string;
  /** Null where the prompt only says what it is about. */
  answer: string | null;
  /** What counts as well; absent where there is none. */
  otherAnswers?: readonly string[];
  entity: string;
  /** Concept keys, one a hop. */
  concepts: readonly string[];
  template: string;
  split: Split;
  /** Of the file that says it, from 1; absent where there is none. */
  line?: number;
}

export interface TextItem {
  type: 'text';
  text: string;
  entity: string;
  split: Split;
}

export type DatasetItem = FactItem | PromptItem | TextItem;

/**
 * Gathers items into the engine's form, in their order; prompts and texts get ids `p0`, `p1` … and `t0` ….
 * @throws Error when an item names a concept that is not in `concepts`.
 */
export function collectDataset(concepts: readonly Concept[], items: Iterable<DatasetItem>): EngineDataset {
  const index = new Map(concepts.map((concept, i) => [concept.key, i]));
  const indexOf = (key: string): number => {
    const i = index.get(key);
    if (i === undefined) throw new Error(`unknown concept ${JSON.stringify(key)}`);
    return i;
  };
  const facts: Fact[] = [];
  const prompts: Prompt[] = [];
  const texts: Text[] = [];
  for (const item of items) {
    if (item.type === 'fact') {
      facts.push({ entity: item.entity, concept: indexOf(item.concept), value: item.value });
    } else if (item.type === 'prompt') {
      const { type: _, concepts: keys, ...rest } = item;
      prompts.push({ id: `p${prompts.length}`, ...rest, concepts: keys.map(indexOf) });
    } else {
      const { type: _, ...rest } = item;
      texts.push({ id: `t${texts.length}`, ...rest });
    }
  }
  return { concepts: concepts.map(({ key, label }) => ({ key, label })), facts, prompts, texts };
}

/** A dataset as it is read: the ontology is known at once, the items come as they are asked for. */
export interface ImportStream {
  ontology: OntologyDefinition;
  /** May throw at any time; what was yielded before counts only once it has ended. */
  items: AsyncIterable<DatasetItem>;
}
