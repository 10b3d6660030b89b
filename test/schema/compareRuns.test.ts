import { randomUUID } from 'node:crypto';
import { eq } from 'drizzle-orm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  conceptLatents,
  concepts,
  datasets,
  faithfulness,
  models,
  splitMeasures,
  swapMeasures,
  sweepCells,
} from '../../src/db/tables/index.ts';
import { startAlignmentRun } from '../../src/runs/alignment.ts';
import { decodeGlobalId, encodeGlobalId } from '../../src/schema/ids.ts';
import { generateDataset } from '../../src/services/datasetCreation.ts';
import { finishQueuedRun, insertModel, insertQueuedRun } from '../helpers/fixtures.ts';
import { type Api, type Data, openApi } from './api.ts';

const COMPARE = /* GraphQL */ `
  query ($ids: [ID!]!) {
    compareRuns(ids: $ids) {
      runs { id }
      settings { path values }
      measures { name split of { name value } values { value alpha rate { successes trials interval { low high } } } }
    }
  }
`;
let api: Api;
let datasetId: string;
let modelId: string;
let first: string;
let second: string;
let sweep: string;

beforeAll(async () => {
  api = await openApi();
  const { db } = api.database;
  datasetId = (await generateDataset(db, { people: 3, seed: 0 })).id;
  modelId = await insertModel(db, datasetId);
  await db
    .update(models)
    .set({ accuracy: { TRAIN: 0.5 } })
    .where(eq(models.id, modelId));
  const start = async (settings: object) => (await startAlignmentRun(db, { modelId, settings })).id;
  first = await start({ nFree: 9 });
  second = await start({ nFree: 9, seed: 3, weights: { ortho: 0 }, alphas: [2] });
  sweep = (await insertQueuedRun(db, { kind: 'SWAP_SWEEP', datasetId, modelId, settings: { nFree: 9 } })).id;
  await insertMeasures();
  await finishQueuedRun(db, first);
});
afterAll(() => api.close());

async function insertMeasures(): Promise<void> {
  const { db } = api.database;
  const split = 'TEST_OOD' as const;
  const none = {
    top3: 1,
    top5: 1,
    diagonalAccuracy: 1,
    diagonalStrength: 0.9,
    matrix: [],
    conceptAccuracy: [],
  };
  const measured = { split, examples: 50, fvu: 0.25, l0: 3, deadLatents: 0.1, ...none };
  await db.insert(splitMeasures).values([
    { runId: first, ...measured, accuracy: 0.98 },
    { runId: second, ...measured, accuracy: 0.5, fvu: Number.NaN, valueAccuracy: 0.2 },
  ]);
  const swap = { runId: first, split, population: 'UNSEEN', trials: 20 } as const;
  await db.insert(swapMeasures).values([
    { ...swap, control: 'CONCEPT', alpha: 2, successes: 19, chosen: true },
    { ...swap, control: 'CONCEPT', alpha: 5, successes: 1, chosen: false },
    { ...swap, control: 'RANDOM_LATENT', alpha: 2, successes: 0, chosen: true },
  ]);
  const counts = {
    ...{ trials: 10, successes: 4, otherPrompts: 8, otherPromptsKept: 8 },
    ...{ texts: 0, textsKept: 0, statements: 4, statementsKept: 3 },
  };
  const cell = { runId: sweep, position: 0, edited: 'CONCEPT', method: 'LATENT_DECODE', alpha: 1.5 } as const;
  await db.insert(sweepCells).values({ ...cell, ...counts, pairs: [] });
  await db.insert(faithfulness).values({
    ...{ runId: first, split, replacement: 'ZERO', prompts: 40, correct: 10, crossEntropy: 2.5 },
  });
  const [concept] = await db
    .select({ id: concepts.id })
    .from(concepts)
    .innerJoin(datasets, eq(datasets.ontologyId, concepts.ontologyId))
    .where(eq(concepts.key, 'birth_city'));
  await db.insert(conceptLatents).values({
    ...{ runId: first, conceptId: concept!.id, latent: 3, separability: 0.75, heldOutSeparability: null },
    ...{ meanActivation: 1, fragmentation: 7 },
  });
}

const alignmentId = (id: string) => encodeGlobalId('AlignmentRun', id);
const compare = (ids: string[]) => api.answer(COMPARE, { ids });
async function compareAll(): Promise<Data> {
  const ids = [alignmentId(first), alignmentId(second), encodeGlobalId('SwapSweepRun', sweep)];
  return (await api.ask(COMPARE, { ids })).compareRuns;
}

describe('compareRuns', () => {
  it('names the settings that differ, as JSON, and no others', async () => {
    const ids = [alignmentId(second), alignmentId(first)];
    const { runs, settings } = (await api.ask(COMPARE, { ids })).compareRuns;
    expect(runs.map(({ id }: Data) => id)).toEqual(ids);
    expect(settings).toEqual([
      { path: 'alphas', values: ['[2]', '[0.5,0.75,1,1.25,1.5,2,3,5,10]'] },
      { path: 'seed', values: ['3', '0'] },
      { path: 'weights.ortho', values: ['0', '10'] },
      { path: 'run.backend', values: [null, '"wasm"'] },
    ]);
    const kinds = (await compareAll()).settings.find(({ path }: Data) => path === 'run.kind');
    expect(kinds.values).toEqual(['"ALIGNMENT"', '"ALIGNMENT"', '"SWAP_SWEEP"']);
  });

  it('lays every measure side by side, with counts and intervals where it is a share', async () => {
    const { measures } = await compareAll();
    const find = (name: string, ...of: string[]): Data =>
      measures.find(
        (m: Data) => m.name === name && String(m.of.map(({ value }: Data) => value)) === String(of),
      ).values;
    const binding = find('BINDING_ACCURACY');
    expect(binding[0]).toMatchObject({ value: 0.98, rate: { successes: 49, trials: 50 } });
    expect(binding[0].rate.interval.low).toBeCloseTo(0.895, 3);
    expect(binding.slice(1)).toMatchObject([{ value: 0.5 }, null]);
    expect(find('FVU')).toMatchObject([{ value: 0.25, rate: null }, { value: null, rate: null }, null]);
    expect(find('VALUE_ACCURACY')).toMatchObject([null, { rate: { successes: 10, trials: 50 } }, null]);
    expect(find('SWAP_SUCCESS', 'UNSEEN', 'CONCEPT')).toMatchObject([
      ...[{ value: 0.95, alpha: 2, rate: { successes: 19, trials: 20 } }, null, null],
    ]);
    expect(find('SWAP_SUCCESS', 'UNSEEN', 'RANDOM_LATENT')[0].rate.interval.high).toBeGreaterThan(0.1);
    expect(find('SWAP_SUCCESS', 'CONCEPT', 'LATENT_DECODE', '1.5')).toMatchObject([
      null,
      null,
      { value: 0.4 },
    ]);
    expect(find('PROMPT_ISOLATION', 'CONCEPT', 'LATENT_DECODE', '1.5')[2].value).toBe(1);
    expect(find('STATEMENT_ISOLATION', 'CONCEPT', 'LATENT_DECODE', '1.5')[2].value).toBe(0.75);
    expect(measures.some(({ name }: Data) => name === 'TEXT_ISOLATION')).toBe(false);
    expect(find('FAITHFUL_ACCURACY', 'ZERO')[0]).toMatchObject({ value: 0.25, rate: { trials: 40 } });
    expect(find('CROSS_ENTROPY', 'ZERO')[0]).toMatchObject({ value: 2.5, rate: null });
    expect(find('FRAGMENTATION', 'birth_city')).toMatchObject([{ value: 7 }, null, null]);
    const model = find('MODEL_ACCURACY');
    expect(model.map(({ value }: Data) => value)).toEqual([0.5, 0.5, 0.5]);
    expect(model[0].rate.trials).toBe(2 * model[0].rate.successes);
  });

  it('refuses what cannot be compared, naming it', async () => {
    const unknown = alignmentId(randomUUID());
    const cases = [
      [[alignmentId(first)], 'INVALID_INPUT', ['ids'], /2–50 runs, got 1/],
      [Array(51).fill(alignmentId(first)), 'INVALID_INPUT', ['ids'], /got 51/],
      [[first, second].map((id) => encodeGlobalId('Model', id)), 'INVALID_INPUT', ['ids', '0'], /Model/],
      [[alignmentId(first), alignmentId(first)], 'INVALID_INPUT', ['ids', '1'], /twice/],
      [
        [alignmentId(first), unknown],
        'NOT_FOUND',
        ['ids', '1'],
        new RegExp(`ids\\[1\\].*${decodeGlobalId(unknown).id}`),
      ],
    ] as const;
    for (const [ids, code, path, message] of cases) {
      const [error] = (await compare([...ids])).errors!;
      expect(error!.message).toMatch(message);
      expect(error!.extensions).toMatchObject({ code, path });
    }
  });
});

it('says nothing where a figure is not defined: a concept that all prompts, or none, are about', async () => {
  const { db } = api.database;
  const values = { kind: 'ALIGNMENT', datasetId, modelId, settings: { nFree: 9 } } as const;
  const { id: runId } = await insertQueuedRun(db, values);
  const [concept] = await db.select().from(concepts).limit(1);
  await db.insert(conceptLatents).values({
    ...{ runId, conceptId: concept!.id, latent: 0, separability: Number.NaN },
    ...{ heldOutSeparability: null, meanActivation: 0, fragmentation: 1 },
  });
  const query =
    'query ($id: ID!) { run(id: $id) { ... on AlignmentRun { conceptLatents { separability heldOutSeparability } } } }';
  const { run } = await api.ask(query, { id: alignmentId(runId) });
  expect(run.conceptLatents).toEqual([{ separability: null, heldOutSeparability: null }]);
  const { compareRuns } = await api.ask(COMPARE, { ids: [first, runId].map(alignmentId) });
  const of = (name: string) => compareRuns.measures.filter((measure: Data) => measure.name === name);
  expect(of('FRAGMENTATION').some(({ values: [, own] }: Data) => own?.value === 1)).toBe(true);
  expect(of('SEPARABILITY').map(({ values: [, own] }: Data) => own)).toEqual([null]);
});
