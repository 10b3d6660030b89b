/** Invented people with six facts each, asked about and described in several wordings; pure and seeded. */
import { z } from 'zod';
import type { EngineDataset } from '../engine/contract/dataset.ts';
import { count } from '../engine/contract/describe.ts';
import { seed } from '../engine/contract/seed.ts';
import { createRandom, type Random } from '../random.ts';
import { BIOGRAPHY_PHRASINGS } from './biography-phrasings.ts';
import { collectDataset, type DatasetItem, type FactItem, type OntologyDefinition } from './items.ts';
import { factItems } from './questions.ts';
import { CITIES, EMPLOYERS, FIRST_NAMES, LAST_NAMES, MAJORS, MONTHS, UNIVERSITIES } from './vocabulary.ts';

/** The six concepts of a biography; a work city follows from the employer. */
export const BIOGRAPHY_ONTOLOGY: OntologyDefinition = {
  slug: 'biography',
  name: 'Biographies',
  description: 'Six facts about invented people; the city of work follows from the employer.',
  concepts: [
    { key: 'birth_date', label: 'birth date', description: 'Month, day and year of birth.' },
    { key: 'birth_city', label: 'birth city', description: 'The city the person was born in.' },
    { key: 'university', label: 'university', description: 'The university the person graduated from.' },
    { key: 'major', label: 'major', description: 'The subject of the degree.' },
    { key: 'employer', label: 'employer', description: 'The company the person works for.' },
    { key: 'work_city', label: 'work city', description: 'The city of the employer.' },
  ],
};

/** As many people as there are pairs of a first and a last name, rounded down. */
export const MAX_PEOPLE = 100_000;

/** What to generate; the same settings give the same dataset. */
export const biographySettings = z.strictObject({
  // A million examples, which is as much as a run can hold in memory.
  people: count(10_000).describe('Number of people.').default(100),
  seed: seed.describe('Seeds every random draw.').default(0),
});
export type BiographySettings = z.output<typeof biographySettings>;

interface Person {
  name: string;
  /** By concept key. */
  facts: Readonly<Record<string, string>>;
}

/**
 * The whole dataset in memory, for the engine: per person 6 facts, 84 prompts and 18 texts.
 * @throws RangeError when `people` is out of range.
 */
export function generateBiographies(options: BiographySettings): EngineDataset {
  return collectDataset(BIOGRAPHY_ONTOLOGY.concepts, biographyItems(options));
}

/**
 * The same dataset one item at a time, person by person.
 * @throws RangeError when `people` is out of range.
 */
export function* biographyItems(options: BiographySettings): Generator<DatasetItem> {
  for (const person of people(options)) {
    for (const { key: concept } of BIOGRAPHY_ONTOLOGY.concepts) {
      const fact: FactItem = { type: 'fact', entity: person.name, concept, value: person.facts[concept]! };
      yield fact;
      yield* factItems(fact, BIOGRAPHY_PHRASINGS[concept]!);
    }
  }
}

function* people({ people: total, seed }: BiographySettings): Generator<Person> {
  if (!Number.isInteger(total) || total < 1 || total > MAX_PEOPLE) {
    throw new RangeError(`people must be an integer from 1 to ${MAX_PEOPLE}, got ${total}`);
  }
  const names = personNames(total, createRandom(seed, 'biography', 'names'));
  const seats = createRandom(seed, 'biography', 'employers').shuffle([...CITIES]);
  const random = createRandom(seed, 'biography', 'facts');
  for (const name of names) {
    const employer = random.int(EMPLOYERS.length);
    yield {
      name,
      facts: {
        birth_date: `${pick(MONTHS, random)} ${1 + random.int(28)} ${1960 + random.int(40)}`,
        birth_city: pick(CITIES, random),
        university: pick(UNIVERSITIES, random),
        major: pick(MAJORS, random),
        employer: EMPLOYERS[employer]!,
        work_city: seats[employer]!,
      },
    };
  }
}

/**
 * Unique names. First and last names come from pools of about twice the square root of the count, so that each
 * is shared by a few people and none gives its owner away; walking the pools' pairs along diagonals uses every
 * name equally often and repeats no pair.
 */
export function* personNames(count: number, random: Random): Generator<string> {
  const size = Math.min(FIRST_NAMES.length, Math.max(1, Math.ceil(2 * Math.sqrt(count))));
  const first = random.shuffle([...FIRST_NAMES]).slice(0, size);
  const last = random.shuffle([...LAST_NAMES]).slice(0, size);
  for (let i = 0; i < count; i++) {
    yield `${first[i % size]} ${last[(i + Math.floor(i / size)) % size]}`;
  }
}

function pick<T>(items: readonly T[], random: Random): T {
  return items[random.int(items.length)]!;
}
