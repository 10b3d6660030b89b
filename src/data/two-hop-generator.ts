/** Invented people in three generations, related so that relations can be followed twice; pure and seeded. */
import { z } from 'zod';
import type { EngineDataset, Split } from '../engine/contract/dataset.ts';
import { namedEnum, whole } from '../engine/contract/describe.ts';
import { seed } from '../engine/contract/seed.ts';
import { invalidInput } from '../errors.ts';
import { createRandom } from '../random.ts';
import { collectDataset, type DatasetItem, type FactItem, type OntologyDefinition } from './items.ts';
import {
  FACT_PHRASINGS,
  RELATION_LABELS,
  stateFact,
  twoHopQuestion,
  twoHopWording,
} from './two-hop-phrasings.ts';
import { FIRST_NAMES } from './vocabulary.ts';

const LEVELS = 3;
const LABELS = Object.entries(RELATION_LABELS);
const MAX_ENTITIES = Math.floor(FIRST_NAMES.length / LEVELS);

export const twoHopAnswers = namedEnum('TwoHopAnswers', 'What two-hop questions are answered with.', {
  E2_E3: 'The person between and the one asked for: both hops can be read and edited at tokens of their own.',
  E3: 'The one asked for alone, so that the first hop stays within the model: both are read at the last token of the question.',
});

/** What to generate; the same settings give the same dataset. */
export const twoHopSettings = z.strictObject({
  seed: seed.describe('Seeds every random draw.').default(0),
  entities: whole(2, MAX_ENTITIES).describe('People on each of the three levels.').default(20),
  relations: whole(2, LABELS.length).describe('Relations of everybody to the next level.').default(10),
  factPhrasings: whole(0, FACT_PHRASINGS.length)
    .describe(
      'Wordings in which each single fact is stated as a text; 0 states none, and facts are learned from questions alone.',
    )
    .default(0),
  trainShare: z
    .number()
    .gt(0)
    .lt(1)
    .describe('Share of the compositions that are asked in training.')
    .default(0.15),
  wording: twoHopWording.describe('How questions are worded.').default('ENTITY_LAST'),
  answers: twoHopAnswers.describe('What questions are answered with.').default('E2_E3'),
});

export type TwoHopSettings = z.output<typeof twoHopSettings>;
export type TwoHopSettingsInput = z.input<typeof twoHopSettings>;

/** The relations that these settings use. */
export function twoHopOntology({ relations }: Pick<TwoHopSettings, 'relations'>): OntologyDefinition {
  return {
    slug: `two-hop-generated-${relations}`,
    name: `${relations} relations between invented people`,
    description: 'A two-hop question follows two of the relations one after the other.',
    concepts: LABELS.slice(0, relations).map(([key, label]) => ({
      key,
      label,
      description: `Who somebody's ${label} is.`,
    })),
  };
}

/** The whole dataset in memory, for the engine. @throws {AppError} INVALID_INPUT when nothing would be held out. */
export function generateTwoHop(input: TwoHopSettingsInput = {}): EngineDataset {
  const settings = twoHopSettings.parse(input);
  return collectDataset(twoHopOntology(settings).concepts, twoHopItems(settings));
}

interface Composition {
  first: FactItem;
  second: FactItem;
}

/**
 * Facts `E1 –R1→ E2` and `E2 –R2→ E3`, each stated as often as asked for, then every composition as a question answered
 * `E2 E3`. TRAIN is a drawn share of the compositions; VALIDATION is all others whose two facts training shows, in a
 * text or, where no fact is stated, within a training question. Compositions of a fact never shown are left out.
 * @throws {AppError} INVALID_INPUT when nothing would be held out.
 */
export function* twoHopItems(settings: TwoHopSettings): Generator<DatasetItem> {
  const facts = drawFacts(settings);
  const labels = new Map<string, string>(LABELS);
  yield* facts;
  for (const { concept, entity, value } of facts)
    for (const text of stateFact(settings.factPhrasings, labels.get(concept)!, entity, value))
      yield { type: 'text', text, entity, split: 'TRAIN' };
  const { train, heldOut } = divide(facts, settings);
  for (const [split, compositions] of [
    ['TRAIN', train],
    ['VALIDATION', heldOut],
  ] as const)
    for (const composition of compositions) yield questionOf(composition, labels, split, settings);
}

function questionOf(
  { first, second }: Composition,
  labels: ReadonlyMap<string, string>,
  split: Split,
  { wording, answers }: Pick<TwoHopSettings, 'wording' | 'answers'>,
): DatasetItem {
  return {
    type: 'prompt',
    prompt: twoHopQuestion(labels.get(first.concept)!, labels.get(second.concept)!, first.entity, wording),
    answer: answers === 'E3' ? second.value : `${first.value} ${second.value}`,
    entity: first.entity,
    concepts: [first.concept, second.concept],
    template: 'two-hop',
    split,
  };
}

/** Every relation of every E1, then of every E2, to somebody drawn from the level below. */
function drawFacts({ seed, entities, relations }: TwoHopSettings): FactItem[] {
  const names = createRandom(seed, 'two-hop', 'names').shuffle([...FIRST_NAMES]);
  const level = (n: number) => names.slice(n * entities, (n + 1) * entities);
  const random = createRandom(seed, 'two-hop', 'facts');
  return [0, 1].flatMap((n) =>
    level(n).flatMap((entity) =>
      LABELS.slice(0, relations).map(
        ([concept]): FactItem => ({
          type: 'fact',
          entity,
          concept,
          value: level(n + 1)[random.int(entities)]!,
        }),
      ),
    ),
  );
}

function divide(facts: readonly FactItem[], { seed, trainShare, factPhrasings }: TwoHopSettings) {
  const from = new Map<string, FactItem[]>();
  for (const fact of facts) from.set(fact.entity, [...(from.get(fact.entity) ?? []), fact]);
  const all = facts.flatMap((first) => (from.get(first.value) ?? []).map((second) => ({ first, second })));
  createRandom(seed, 'two-hop', 'compositions').shuffle(all);
  const size = Math.max(1, Math.round(all.length * trainShare));
  const train = all.slice(0, size);
  const shown = new Set(factPhrasings > 0 ? facts : train.flatMap(({ first, second }) => [first, second]));
  const heldOut = all.slice(size).filter(({ first, second }) => shown.has(first) && shown.has(second));
  if (heldOut.length === 0)
    throw invalidInput(
      ['trainShare'],
      `trainShare ${trainShare} leaves no composition to hold out whose facts training shows`,
    );
  return { train, heldOut };
}
