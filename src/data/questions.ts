/** One-hop questions and sentences for facts that came without any, worded by the concept's label. */
import { SPLITS } from '../engine/contract/dataset.ts';
import type { ConceptDefinition, DatasetItem, FactItem } from './items.ts';
import { fill, type Phrasings } from './phrasings.ts';

/** Wording for a concept known by nothing but its label, such as "boss" or "birth city". */
export function labelPhrasings(label: string): Phrasings {
  const worded = (phrasing: string) => phrasing.replaceAll('{label}', () => label);
  return {
    questions: {
      TRAIN: LABEL_PHRASINGS.questions.TRAIN.map(worded),
      VALIDATION: LABEL_PHRASINGS.questions.VALIDATION.map(worded),
      TEST_OOD: LABEL_PHRASINGS.questions.TEST_OOD.map(worded),
    },
    texts: LABEL_PHRASINGS.texts.map(worded),
  };
}

const LABEL_PHRASINGS: Phrasings = {
  questions: {
    TRAIN: [
      'Who is the {label} of {name}',
      'What is the {label} of {name}',
      'I would like to be told the {label} of {name}',
      'Could you tell me the {label} of {name}',
      'Do you know the {label} of {name}',
      'Please name the {label} of {name}',
      'I would like to know who is the {label} of {name}',
      'Which name is given as the {label} of {name}',
    ],
    VALIDATION: ['Could you name the {label} of {name}', 'Please tell me who is the {label} of {name}'],
    TEST_OOD: [
      'Do you know who is the {label} of {name}',
      'Could you tell me who is the {label} of {name}',
      'Please tell me the {label} of {name}',
      'I would like to know the {label} of {name}',
    ],
  },
  texts: [
    'The {label} of {name} is {value}.',
    "{name}'s {label} is {value}.",
    '{name} has {value} as {label}.',
  ],
};

/**
 * Every fact, followed by 8 training, 2 validation and 4 held-out questions about it and 3 sentences stating it. Facts
 * of one entity and concept are asked about once: all their values are accepted, the first is stated.
 * Held-out wordings use only words of the training wordings, so a word-level tokenizer knows them, and are as long as
 * one of them, so the learned embedding of the position that answers has been trained.
 */
export function* questionItems(
  concepts: readonly ConceptDefinition[],
  facts: Iterable<FactItem>,
): Generator<DatasetItem> {
  const phrasings = new Map(concepts.map(({ key, label }) => [key, labelPhrasings(label)]));
  const alike = new Map<string, FactItem[]>();
  for (const fact of facts) {
    const key = JSON.stringify([fact.entity, fact.concept]);
    alike.set(key, [...(alike.get(key) ?? []), fact]);
  }
  for (const all of alike.values()) {
    yield* all;
    yield* factItems(
      all[0]!,
      phrasings.get(all[0]!.concept)!,
      all.slice(1).map(({ value }) => value),
    );
  }
}

/** The questions about one fact, split by split, then its sentences; template names are `concept/split-number`. */
export function* factItems(
  fact: FactItem,
  { questions, texts }: Phrasings,
  otherAnswers: readonly string[] = [],
): Generator<DatasetItem> {
  const { entity, concept, value } = fact;
  for (const split of SPLITS) {
    for (const [i, phrasing] of questions[split].entries()) {
      const template = `${concept}/${split.toLowerCase()}-${i + 1}`;
      const prompt = fill(phrasing, entity);
      const answers = { answer: value, ...(otherAnswers.length > 0 && { otherAnswers }) };
      yield { type: 'prompt', prompt, ...answers, entity, concepts: [concept], template, split };
    }
  }
  for (const text of texts) yield { type: 'text', text: fill(text, entity, value), entity, split: 'TRAIN' };
}
