import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { generateBiographies } from '../../src/data/biography.ts';
import type { Database } from '../../src/db/client.ts';
import { loadEngineDataset } from '../../src/db/queries/engineDataset.ts';
import type { EngineDataset } from '../../src/engine/contract/dataset.ts';
import {
  conceptsOfExamples,
  type Dataset,
  datasetsByIds,
  examplesByIds,
  factsByIds,
  listDatasets,
  pageDatasetsOfOntologies,
  pageExamplesOfDatasets,
  pageFactsOfDatasets,
  splitsOfDatasets,
} from '../../src/services/dataset.ts';
import { generateDataset, generateQuestions } from '../../src/services/datasetCreation.ts';
import { conceptsOfOntologies, findOntology } from '../../src/services/ontology.ts';
import { createTestDatabase } from '../helpers/database.ts';

let database: Database;
let small: Dataset;
let large: Dataset;
beforeAll(async () => {
  database = await createTestDatabase();
  small = await generateDataset(database.db, { people: 3, seed: 5, name: 'Three' });
  large = await generateDataset(database.db, { people: 120, seed: 6 });
});
afterAll(() => database.close());

/** Ids are the database's; all else must be as generated. */
function withoutIds({ concepts, facts, prompts, texts }: EngineDataset) {
  const strip = <T extends { id: string }>({ id: _, ...rest }: T) => rest;
  return { concepts, facts, prompts: prompts.map(strip), texts: texts.map(strip) };
}

describe('generateDataset', () => {
  it('stores what the generator makes, in its order, through several batches', async () => {
    for (const [dataset, options] of [
      [small, { people: 3, seed: 5 }],
      [large, { people: 120, seed: 6 }],
    ] as const) {
      const stored = await loadEngineDataset(database.db, dataset.id);
      expect(withoutIds(stored)).toEqual(withoutIds(generateBiographies(options)));
    }
  });

  it('says how it was made, with a hash of what is in it', async () => {
    expect(small).toMatchObject({ name: 'Three', kind: 'BIOGRAPHY', settings: { people: 3, seed: 5 } });
    expect(large.name).toBe('Biographies of 120 people, seed 6');
    const again = await generateDataset(database.db, { people: 3, seed: 5 });
    const other = await generateDataset(database.db, { people: 3, seed: 7 });
    expect(again.contentHash).toMatch(/^[0-9a-f]{64}$/);
    expect(again.contentHash).toBe(small.contentHash);
    expect(other.contentHash).not.toBe(small.contentHash);
    expect(again.ontologyId).toBe(small.ontologyId);
  });

  it('defaults to a hundred people and refuses what is no number of people or seed', async () => {
    const dataset = await generateDataset(database.db, {});
    expect(dataset.settings).toEqual({ people: 100, seed: 0 });
    for (const [input, path, message] of [
      [{ people: 0 }, 'people', 'people must be a whole number, 1–10,000; got 0'],
      [{ people: 10_001 }, 'people', 'people must be a whole number, 1–10,000; got 10001'],
      [{ people: 1.5 }, 'people', 'must be a whole number'],
      [{ seed: -1 }, 'seed', 'seed must be a whole number, 0–2,147,483,647; got -1'],
      [{ seed: Number.NaN }, 'seed', 'must be a whole number'],
      [{ name: '' }, 'name', 'name must not be empty'],
    ] as const) {
      const failure = generateDataset(database.db, input);
      await expect(failure).rejects.toMatchObject({ code: 'INVALID_INPUT', path: [path] });
      await expect(failure).rejects.toThrow(message);
    }
  });
});

describe('reading datasets', () => {
  it('counts the splits, empty ones too', async () => {
    const [sizes, none] = await splitsOfDatasets(database.db, [small.id, crypto.randomUUID()]);
    // 18 facts with 8, 2 and 4 questions each, and 3 texts.
    expect(sizes).toEqual([
      { name: 'TRAIN', size: 18 * 11 },
      { name: 'VALIDATION', size: 18 * 2 },
      { name: 'TEST_OOD', size: 18 * 4 },
    ]);
    expect(none!.map((split) => split.size)).toEqual([0, 0, 0]);
  });

  it('pages examples by split and concept, in stored order', async () => {
    const { db } = database;
    const [concepts] = await conceptsOfOntologies(db, [small.ontologyId]);
    const major = concepts!.find((concept) => concept.key === 'major')!;
    const read = async (args: Parameters<typeof pageExamplesOfDatasets>[2]) =>
      (await pageExamplesOfDatasets(db, [small.id], args)).get(small.id)!;
    const page = await read({ split: 'TEST_OOD', conceptId: major.id, first: 5 });
    expect(await page.totalCount()).toBe(12);
    expect(page.edges).toHaveLength(5);
    for (const { node } of page.edges) expect(node).toMatchObject({ split: 'TEST_OOD', kind: 'QUESTION' });
    const rest = await read({
      split: 'TEST_OOD',
      conceptId: major.id,
      first: 100,
      after: page.pageInfo.endCursor,
    });
    const positions = [...page.edges, ...rest.edges].map((edge) => edge.node.position);
    expect(positions).toHaveLength(12);
    expect(positions).toEqual([...positions].sort((a, b) => a - b));
    const names = await conceptsOfExamples(
      db,
      page.edges.map((edge) => edge.node.id),
    );
    expect(names.map((list) => list.map((concept) => concept.key))).toEqual(new Array(5).fill(['major']));
    const [text] = (await read({ last: 1 })).edges;
    expect(text!.node).toMatchObject({ kind: 'TEXT', answer: null });
    expect(await conceptsOfExamples(db, [text!.node.id])).toEqual([[]]);
    expect(await examplesByIds(db, [text!.node.id])).toEqual([text!.node]);
  });

  it('pages facts and lists datasets by ontology and kind, newest first', async () => {
    const { db } = database;
    const facts = (await pageFactsOfDatasets(db, [small.id], { first: 4 })).get(small.id)!;
    expect(await facts.totalCount()).toBe(18);
    expect(facts.edges.map((edge) => edge.node.position)).toEqual([0, 1, 2, 3]);
    expect(await factsByIds(db, [facts.edges[2]!.node.id])).toEqual([facts.edges[2]!.node]);
    const listed = await listDatasets(db, { kind: 'BIOGRAPHY', ontologyId: small.ontologyId }, { last: 2 });
    expect(listed.edges.map((edge) => edge.node.id)).toEqual([large.id, small.id]);
    expect((await listDatasets(db, { kind: 'TWO_HOP' }, {})).edges).toEqual([]);
    const pages = await pageDatasetsOfOntologies(db, [small.ontologyId], { last: 1 });
    expect(pages.get(small.ontologyId)!.edges[0]!.node).toEqual(small);
    expect(await datasetsByIds(db, [crypto.randomUUID(), small.id])).toEqual([null, small]);
  });
});

describe('generateQuestions', () => {
  it('asks about every fact in words of the labels, in a dataset of its own', async () => {
    const { db } = database;
    const asked = await generateQuestions(db, { datasetId: small.id });
    expect(asked).toMatchObject({
      name: 'Questions about Three',
      kind: 'PROMPTS',
      ontologyId: small.ontologyId,
      settings: { factsOf: small.id, factsHash: small.contentHash },
    });
    const { facts, prompts } = await loadEngineDataset(db, asked.id);
    expect(facts).toEqual((await loadEngineDataset(db, small.id)).facts);
    const [fact] = facts;
    expect(prompts).toHaveLength(18 * 14);
    expect(prompts[2]).toMatchObject({
      prompt: `I would like to be told the birth date of ${fact!.entity}`,
      answer: fact!.value,
      concepts: [0],
      template: 'birth_date/train-3',
      split: 'TRAIN',
    });
  });

  it('refuses unknown datasets', async () => {
    await expect(generateQuestions(database.db, { datasetId: crypto.randomUUID() })).rejects.toMatchObject({
      code: 'NOT_FOUND',
    });
    expect(await findOntology(database.db, 'biography')).toMatchObject({ version: 1 });
  });
});
