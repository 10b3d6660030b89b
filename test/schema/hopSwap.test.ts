import { eq } from 'drizzle-orm';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { hopSwaps, runs } from '../../src/db/tables/index.ts';
import { hopSwap } from '../../src/runs/hopSwap.ts';
import { listOf } from '../../src/runs/index.ts';
import { decodeGlobalId, encodeGlobalId } from '../../src/schema/ids.ts';
import { finishQueuedRun, insertModel } from '../helpers/fixtures.ts';
import { storeTwoHops } from '../helpers/twoHops.ts';
import { type Api, type Data, openApi } from './api.ts';

let api: Api;
let modelId: string;
beforeAll(async () => {
  api = await openApi();
  modelId = await insertModel(api.database.db, await storeTwoHops(api.database.db));
});
afterAll(() => api.close());

const START = /* GraphQL */ `
  mutation ($input: StartHopSwapRunInput!) {
    startHopSwapRun(input: $input) {
      __typename
      ... on StartRunSuccess { run { id kind status } }
      ... on InputError { message path }
    }
  }
`;
const DETAILS = /* GraphQL */ `
  query ($id: ID!) {
    run(id: $id) {
      kind seed exports { name format }
      ... on HopSwapRun {
        settings { methods alphas trials } analysisSettings { layer shared seed } analysisRun { id } model { id }
        saes { hop }
        results { hop edited method alpha alphas { alpha success { value } } }
        slots: results(hop: 2, edited: CONCEPT) {
          method shown { value } withheld { successes trials interval { low high } } isolation { value }
        }
        hops { hop ratio slots { method withheld { value } } unsupervised { method withheld { value } } }
      }
    }
  }
`;

/** Of 20 on TRAIN questions at alpha 2, and of 40 on held-out ones to withheld pairs. */
const MEASURED = [
  { hop: 1, edited: 'CONCEPT', method: 'LATENT_DECODE', tried: 5, withheld: 4 },
  { hop: 1, edited: 'UNSUPERVISED_LATENT', method: 'LATENT_DECODE', tried: 0, withheld: 0 },
  { hop: 2, edited: 'CONCEPT', method: 'LATENT_DECODE', tried: 12, withheld: 24 },
  { hop: 2, edited: 'CONCEPT', method: 'LATENT_DELTA', tried: 11, withheld: 30 },
  { hop: 2, edited: 'UNSUPERVISED_LATENT', method: 'LATENT_DECODE', tried: 3, withheld: 6 },
  { hop: 2, edited: 'UNSUPERVISED_LATENT', method: 'LATENT_DELTA', tried: 2, withheld: 20 },
] as const;

async function startOnModel(analysis: object): Promise<string> {
  const settings = { alphas: [1, 2], trials: 40 };
  const input = { modelId: encodeGlobalId('Model', modelId), analysis, settings };
  const { startHopSwapRun } = await api.ask(START, { input });
  expect(startHopSwapRun).toMatchObject({ run: { kind: 'HOP_SWAP', status: 'QUEUED' } });
  return startHopSwapRun.run.id;
}

const RELATION = {
  relation: 1,
  source: { shown: { trials: 5, successes: 1 }, withheld: { trials: 4, successes: 2 } },
  target: { shown: { trials: 6, successes: 3 }, withheld: { trials: 0, successes: 0 } },
};

async function measure(id: string): Promise<void> {
  const runId = decodeGlobalId(id).id;
  await api.database.db.insert(hopSwaps).values(
    MEASURED.map(({ tried, withheld, ...what }, position) => ({
      ...{ ...what, runId, position, alpha: 2, shownTrials: 40, shownSuccesses: 10 },
      ...{ withheldTrials: 40, withheldSuccesses: withheld, otherQuestions: 40, otherQuestionsKept: 38 },
      relations: position === 0 ? [RELATION] : null,
      choosing: [
        { alpha: 1, trials: 20, successes: 0 },
        { alpha: 2, trials: 20, successes: tried },
      ],
    })),
  );
  await finishQueuedRun(api.database.db, runId);
}

test('a hop-swap run tells what was reached at either hop, with intervals, and the ratio of what TRAIN chose', async () => {
  const id = await startOnModel({ layer: 1, seed: 3 });
  const before = (await api.ask(DETAILS, { id })).run;
  expect(before).toMatchObject({
    ...{ kind: 'HOP_SWAP', seed: 3, results: [], hops: [], saes: [], analysisRun: null },
    ...{ settings: { alphas: [1, 2], trials: 40 }, analysisSettings: { layer: 1, shared: true, seed: 3 } },
    model: { id: encodeGlobalId('Model', modelId) },
  });
  expect(before.settings.methods).toContain('ORTHOGONAL');
  expect(before.exports.map(({ name, format }: Data) => `${name}.${format}`)).toContain('hop-swaps.CSV');
  await measure(id);
  const { results, slots, hops } = (await api.ask(DETAILS, { id })).run;
  expect(results.map(({ hop, edited, method }: Data) => `${hop} ${edited} ${method}`)).toEqual(
    MEASURED.map(({ hop, edited, method }) => `${hop} ${edited} ${method}`),
  );
  expect(results[2].alphas).toEqual([
    { alpha: 1, success: { value: 0 } },
    { alpha: 2, success: { value: 0.6 } },
  ]);
  const RELATIONS =
    'query ($id: ID!) { run(id: $id) { ... on HopSwapRun { results { relations { relation { key } shownAsSource { trials successes } withheldAsSource { trials successes } shownAsTarget { trials successes } withheldAsTarget { trials value } } } } } }';
  const told = (await api.ask(RELATIONS, { id })).run.results.map(({ relations }: Data) => relations);
  expect(told.slice(1)).toEqual(told.slice(1).map(() => []));
  expect(told[0]).toEqual([
    {
      relation: { key: expect.any(String) },
      ...{ shownAsSource: { trials: 5, successes: 1 }, withheldAsSource: { trials: 4, successes: 2 } },
      ...{ shownAsTarget: { trials: 6, successes: 3 }, withheldAsTarget: { trials: 0, value: null } },
    },
  ]);
  const { rows } = await api.database.db.execute(
    hopSwap.tables['hop-relations']!.rows(listOf([decodeGlobalId(id).id])),
  );
  expect(rows).toHaveLength(2);
  expect(rows.map(({ side, shownTrials }) => `${side} ${shownTrials}`).sort()).toEqual([
    'source 5',
    'target 6',
  ]);
  expect(slots).toMatchObject([
    {
      ...{ method: 'LATENT_DECODE', shown: { value: 0.25 }, isolation: { value: 0.95 } },
      withheld: { successes: 24, trials: 40, interval: { low: expect.closeTo(0.446, 3) } },
    },
    { method: 'LATENT_DELTA' },
  ]);
  expect(hops).toEqual([
    {
      ...{ hop: 1, ratio: null, slots: { method: 'LATENT_DECODE', withheld: { value: 0.1 } } },
      unsupervised: { method: 'LATENT_DECODE', withheld: { value: 0 } },
    },
    {
      ...{
        hop: 2,
        ratio: expect.closeTo(4, 9),
        slots: { method: 'LATENT_DECODE', withheld: { value: 0.6 } },
      },
      unsupervised: { method: 'LATENT_DECODE', withheld: { value: 0.15 } },
    },
  ]);
});

test('two of them are compared hop by hop', async () => {
  const ids = [await startOnModel({ layer: 0 }), await startOnModel({ layer: 1 })];
  for (const id of ids) await measure(id);
  const { compareRuns } = await api.ask(
    `query ($ids: [ID!]!) { compareRuns(ids: $ids) {
      settings { path values } measures { name of { name value } values { value alpha } } } }`,
    { ids },
  );
  expect(compareRuns.settings).toEqual([{ path: 'analysis.layer', values: ['0', '1'] }]);
  const one = compareRuns.measures.find(
    ({ name, of }: Data) =>
      name === 'SWAP_SUCCESS' &&
      of.map(({ value }: Data) => value).join(' ') === '2 CONCEPT LATENT_DELTA WITHHELD',
  );
  expect(one.values).toEqual([0, 1].map(() => ({ value: 0.75, alpha: 2 })));
});

test('it is listed by its kind, and what it needs is said', async () => {
  const id = await startOnModel({});
  const { runs: listed } = await api.ask(
    '{ runs(first: 1, filter: { kind: [HOP_SWAP], isPart: false }) { edges { node { id __typename } } } }',
  );
  expect(listed.edges).toEqual([{ node: { id, __typename: 'HopSwapRun' } }]);
  const runId = encodeGlobalId('ModelRun', decodeGlobalId(id).id);
  expect((await api.ask(START, { input: { runId } })).startHopSwapRun).toMatchObject({
    ...{ __typename: 'InputError', path: ['runId'] },
    message: expect.stringContaining('accepted is GrokkingRun'),
  });
  expect((await api.ask(START, { input: {} })).startHopSwapRun).toMatchObject({ path: ['runId'] });
  const [row] = await api.database.db
    .select()
    .from(runs)
    .where(eq(runs.id, decodeGlobalId(id).id));
  expect(row!.settings).toMatchObject({ seed: 0, analysis: { withheldPairShare: 0.2 } });
});
