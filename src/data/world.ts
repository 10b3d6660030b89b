/** Facts of the real world that language models know: the files of `data/world` as ontology and prompts. */
import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import type { EngineDataset } from '../engine/contract/dataset.ts';
import { namedEnum, whole, withFallback } from '../engine/contract/describe.ts';
import { seed } from '../engine/contract/seed.ts';
import { invalidInput } from '../errors.ts';
import { createRandom } from '../random.ts';
import {
  type ConceptDefinition,
  collectDataset,
  type DatasetItem,
  type OntologyDefinition,
} from './items.ts';

const FOLDER = new URL('../../data/world/', import.meta.url);
/** Entities that an alignment can share out: some to learn from, to choose by and unseen. */
const LEAST_ENTITIES = 5;

export const worldSubject = namedEnum('WorldSubject', 'What a dataset of the real world is about.', {
  COUNTRIES:
    'Capital, main language, continent, demonym and a neighbour of countries. Derived from world-countries 5.1.0, under the Open Database License 1.0: whoever passes the data on does so under that licence.',
  VERBS: 'English verbs: past tense, -ing form, third person, capital letters, first letter.',
});
export type WorldSubject = z.output<typeof worldSubject>;

/** What to ask about; the same settings give the same dataset. */
export const worldSettings = z.strictObject({
  subject: worldSubject.describe('What it is about.').default('COUNTRIES'),
  entities: withFallback(
    whole(LEAST_ENTITIES, 1000)
      .optional()
      .describe(
        'Number of countries or verbs, drawn by the seed from those that the prefix does not mention.',
      ),
    'all of them',
  ),
  seed: seed.describe('Seeds which entities are drawn, and their order.').default(0),
});
export type WorldSettings = z.output<typeof worldSettings>;
export type WorldSettingsInput = z.input<typeof worldSettings>;

interface Subject {
  ontology: OntologyDefinition;
  /** `<files>.jsonl` has the entities, `<files>-prompts.json` how they are asked about. */
  files: string;
  /** Whether answers must agree in letter case: of verbs, one relation is nothing else. */
  letterCase: boolean;
}

/** Concepts in the order of the ontology; what the files say besides, such as currencies, is asked in no prompt. */
const SUBJECTS: Record<WorldSubject, Subject> = {
  COUNTRIES: {
    files: 'countries',
    letterCase: false,
    ontology: {
      slug: 'countries',
      name: 'Countries',
      description:
        'Five relations of countries. Its datasets are derived from world-countries 5.1.0, under the Open Database License 1.0.',
      concepts: concepts({
        capital: 'The capital city.',
        language: 'A language that is spoken there, the main one first.',
        continent: 'The continent it lies on.',
        demonym: 'What its people are called.',
        neighbour: 'A country that it borders on.',
      }),
    },
  },
  VERBS: {
    files: 'verbs',
    letterCase: true,
    ontology: {
      slug: 'verbs',
      name: 'Verbs',
      description: 'Forms of English verbs.',
      concepts: concepts(
        {
          past: 'What it is in the simple past.',
          ing: 'Its present participle.',
          third: 'What it is after he, she or it.',
          capitals: 'The verb in capital letters.',
          first: 'The letter it begins with.',
        },
        {
          past: 'past tense',
          ing: '-ing form',
          third: 'third person',
          capitals: 'capital letters',
          first: 'first letter',
        },
      ),
    },
  },
};

interface PromptsFile {
  /** What stands before every prompt. */
  prefix: string;
  /** The entities that it speaks of, which are asked nothing. */
  shots: string[];
  /** By concept, in the same order for all; `{x}` stands for the entity. */
  phrasings: Record<string, Record<'train' | 'held_out', string[]>>;
}

interface Entity {
  name: string;
  /** By concept, all that is accepted, the usual value first. */
  facts: Record<string, string[]>;
}

/** A dataset of the real world, and how its prompts are put to a model. */
export interface WorldDataset {
  ontology: OntologyDefinition;
  /** How many it is about. */
  entities: number;
  prefix: string;
  answerEnd: string;
  letterCase: boolean;
  /** Entity by entity: its facts, a value each, and its prompts; training phrasings are TRAIN, held-out ones TEST_OOD. */
  items: DatasetItem[];
}

/** @throws AppError INVALID_INPUT when more entities are asked for than there are. */
export async function readWorld({ subject, entities: wanted, seed }: WorldSettings): Promise<WorldDataset> {
  const { ontology, files, letterCase } = SUBJECTS[subject];
  const { prefix, shots, phrasings } = JSON.parse(await read(`${files}-prompts.json`)) as PromptsFile;
  const lines = (await read(`${files}.jsonl`)).split('\n').filter((line) => line !== '');
  const all = lines.map((line) => JSON.parse(line) as Entity).filter(({ name }) => !shots.includes(name));
  const count = wanted ?? all.length;
  if (count > all.length)
    throw invalidInput(
      ['entities'],
      `there are ${all.length} ${subject.toLowerCase()} besides those in the prefix; got ${count}`,
    );
  const drawn = createRandom(seed, 'world', subject).shuffle(all).slice(0, count);
  const items = drawn.flatMap((entity) =>
    ontology.concepts.flatMap(({ key }) => itemsOf(entity, key, phrasings[key]!)),
  );
  return { ontology, entities: count, prefix, answerEnd: '.', letterCase, items };
}

/** The whole dataset in memory, for the engine. */
export async function readWorldDataset(settings: WorldSettingsInput): Promise<EngineDataset> {
  const { ontology, items, entities: _, ...prompted } = await readWorld(worldSettings.parse(settings));
  return { ...collectDataset(ontology.concepts, items), ...prompted };
}

function itemsOf(
  { name: entity, facts }: Entity,
  concept: string,
  phrasings: PromptsFile['phrasings'][string],
): DatasetItem[] {
  const values = facts[concept];
  if (values === undefined) return [];
  const [answer, ...others] = values;
  const answers = { answer: answer!, ...(others.length > 0 && { otherAnswers: others }) };
  const said = [
    ...phrasings.train.map((template) => ({ template, split: 'TRAIN' as const })),
    ...phrasings.held_out.map((template) => ({ template, split: 'TEST_OOD' as const })),
  ];
  return [
    ...values.map((value) => ({ type: 'fact' as const, entity, concept, value })),
    ...said.map(({ template, split }) => {
      const prompt = template.replaceAll('{x}', () => entity);
      return { type: 'prompt' as const, prompt, ...answers, entity, concepts: [concept], template, split };
    }),
  ];
}

function concepts(
  meanings: Record<string, string>,
  labels: Record<string, string> = {},
): ConceptDefinition[] {
  return Object.entries(meanings).map(([key, description]) => ({
    key,
    label: labels[key] ?? key,
    description,
  }));
}

function read(name: string): Promise<string> {
  return readFile(new URL(name, FOLDER), 'utf8');
}
