import { eq } from 'drizzle-orm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { claimRun, failRun } from '../../src/db/queries/runs.ts';
import { runs, splitMeasures, swapMeasures } from '../../src/db/tables/index.ts';
import { alignmentSweep } from '../../src/runs/alignmentSweep.ts';
import { listOf } from '../../src/runs/index.ts';
import { decodeGlobalId, encodeGlobalId } from '../../src/schema/ids.ts';
import { generateDataset } from '../../src/services/datasetCreation.ts';
import { finishQueuedRun, insertModel, insertWorker } from '../helpers/fixtures.ts';
import { type Api, type Data, openApi } from './api.ts';

let api: Api;
let modelId: string;
beforeAll(async () => {
  api = await openApi();
  const dataset = await generateDataset(api.database.db, { people: 3, seed: 0 });
  modelId = encodeGlobalId('Model', await insertModel(api.database.db, dataset.id));
});
afterAll(() => api.close());

const START = /* GraphQL */ `
  mutation ($input: StartAlignmentSweepInput!) {
    startAlignmentSweep(input: $input) {
      __typename
      ... on StartRunSuccess {
        run {
          id kind status phase seed
          ... on AlignmentSweepRun {
            layers seeds settings { nFree layer seed } model { id }
            partCounts { queued running succeeded failed cancelled }
            parts(first: 300) { totalCount edges { node { id status layer seed settings { nFree layer seed } parent { id } } } }
          }
        }
      }
      ... on InputError { message path }
      ... on NotFoundError { message }
    }
  }
`;

const TABLES = /* GraphQL */ `
  query ($id: ID!) {
    run(id: $id) {
      status progress error { message }
      ... on AlignmentSweepRun {
        partCounts { queued succeeded failed cancelled }
        bindingByLayer { layer seed parts deviation run { id } rate { successes trials value interval { low high } } }
        swapSuccessByLayer { layer seed parts alpha rate { successes trials } random { successes trials } }
      }
    }
  }
`;

const start = async (input: object): Promise<Data> =>
  (await api.ask(START, { input: { modelId, ...input } })).startAlignmentSweep;
const partsOf = (run: Data): Data[] => run.parts.edges.map(({ node }: Data) => node);
const rowId = (globalId: string) => decodeGlobalId(globalId).id;

/** Ends a part as a worker does, with what it would have measured. */
async function finishPart(globalId: string, { bound, swapped }: { bound: number; swapped: number }) {
  const { db } = api.database;
  const runId = rowId(globalId);
  const none = {
    top3: 1,
    top5: 1,
    diagonalAccuracy: 1,
    diagonalStrength: 1,
    matrix: [],
    conceptAccuracy: [],
  };
  await db.insert(splitMeasures).values({
    ...{
      runId,
      split: 'TEST_OOD',
      examples: 20,
      accuracy: bound / 20,
      fvu: 0,
      l0: 1,
      deadLatents: 0,
      ...none,
    },
  });
  const swap = {
    runId,
    population: 'UNSEEN',
    split: 'TEST_OOD',
    alpha: 2,
    trials: 10,
    chosen: true,
  } as const;
  await db.insert(swapMeasures).values([
    { ...swap, control: 'CONCEPT', successes: swapped },
    { ...swap, control: 'RANDOM_LATENT', successes: 0 },
    { ...swap, control: 'CONCEPT', alpha: 9, successes: 10, chosen: false },
  ]);
  await finishQueuedRun(db, runId);
}

describe('startAlignmentSweep', () => {
  it('takes all layers of the model, and queues one alignment for each', async () => {
    const { run } = await start({ settings: { nFree: 9, seed: 4 } });
    expect(run).toMatchObject({ kind: 'ALIGNMENT_SWEEP', status: 'QUEUED', seed: 4, layers: [-1, 0, 1] });
    expect(run).toMatchObject({
      seeds: [4],
      settings: { nFree: 9, layer: -1, seed: 4 },
      model: { id: modelId },
    });
    expect(run.partCounts).toEqual({ queued: 3, running: 0, succeeded: 0, failed: 0, cancelled: 0 });
    const settings = partsOf(run).map((part) => part.settings);
    expect(settings).toEqual([-1, 0, 1].map((layer) => ({ nFree: 9, layer, seed: 4 })));
    for (const part of partsOf(run)) expect(part).toMatchObject({ status: 'QUEUED', parent: { id: run.id } });
    const { rows } = await api.database.pool.query('select key from graphile_worker.jobs order by id');
    expect(rows.map(({ key }) => key)).toEqual(partsOf(run).map(({ id }) => `run:${rowId(id)}`));
  });

  it('goes seed by seed, in the order given', async () => {
    const { run } = await start({ layers: [1, 0], seeds: [5, 2] });
    const order = partsOf(run).map(({ layer, seed }) => [layer, seed]);
    expect(order).toEqual([
      [1, 5],
      [0, 5],
      [1, 2],
      [0, 2],
    ]);
  });

  it('varies any settings, each with each, or pair by pair', async () => {
    const of = async (input: object) => {
      const { run } = await start(input);
      const parts = await api.database.db
        .select()
        .from(runs)
        .where(eq(runs.parentId, rowId(run.id)))
        .orderBy(runs.id);
      const shown = parts.map(({ settings, seed }) => {
        const { layer, nFree, weights, bindLogitScale: _, preset } = settings as Data;
        return [seed, preset, layer, nFree, weights.ortho, weights.indep];
      });
      return { run, shown };
    };
    const axes = [
      { values: [{ nFree: 8 }, { preset: 'AUTHORS', nFree: 9 }] },
      { values: [{ weights: { ortho: 0 } }, { weights: { ortho: 2, indep: 1 } }] },
    ];
    const grid = await of({ axes, layers: [1, 0], seeds: [3], settings: { weights: { indep: 0.5 } } });
    expect(grid.run).toMatchObject({ layers: [1, 0], seeds: [3] });
    const point = (preset: string, nFree: number, ortho: number, indep: number) =>
      [1, 0].map((layer) => [3, preset, layer, nFree, ortho, indep]);
    expect(grid.shown).toEqual([
      ...point('PAPER', 8, 0, 0.5),
      ...point('PAPER', 8, 2, 1),
      ...point('AUTHORS', 9, 0, 0.5),
      ...point('AUTHORS', 9, 2, 1),
    ]);
    const paired = await of({ axes, combination: 'PAIRED', settings: { layer: 1, seed: 4 } });
    expect(paired.shown).toEqual([
      [4, 'PAPER', 1, 8, 0, 0],
      [4, 'AUTHORS', 1, 9, 2, 1],
    ]);
    const own = await of({
      axes: [
        {
          values: [
            { layer: 0, seed: 7 },
            { layer: 1, seed: 6 },
          ],
        },
      ],
    });
    expect(own.run).toMatchObject({ layers: [0, 1], seeds: [7, 6] });
    expect(own.shown.map(([seed, , layer]) => [seed, layer])).toEqual([
      [7, 0],
      [6, 1],
    ]);
    const all = await of({ axes: [{ values: [{ nFree: 8 }, { nFree: 9 }] }] });
    expect(all.shown.map(([, , layer, nFree]) => [nFree, layer])).toEqual(
      [8, 9].flatMap((nFree) => [-1, 0, 1].map((layer) => [nFree, layer])),
    );
  });

  it.each([
    [{ axes: [{ values: [] }] }, ['axes', '0', 'values'], /one or more/],
    [{ axes: [{ values: [{}] }] }, ['axes', '0', 'values', '0'], /one or more settings/],
    [
      { axes: [{ values: [{ nFree: 8 }] }, { values: [{ nFree: 9 }] }] },
      ['axes', '1'],
      /nFree is set by axes\[0\] too/,
    ],
    [
      {
        combination: 'PAIRED',
        axes: [{ values: [{ nFree: 8 }, { nFree: 9 }] }, { values: [{ k: 2 }] }],
      },
      ['axes', '1', 'values'],
      /equally long; axes\[0\] has 2 values, axes\[1\] 1/,
    ],
    [
      { axes: [{ values: [{ nFree: 8 }, { nFree: 0 }] }] },
      ['axes', '0', 'values', '1', 'nFree'],
      /at least 1|1–/,
    ],
    [
      { axes: [{ values: [{ weights: { ortho: 1 } }, { weights: { ortho: -1 } }] }] },
      ['axes', '0', 'values', '1', 'weights', 'ortho'],
      /got -1/,
    ],
    [
      { axes: [{ values: [{ activation: 'TOPK' }] }], settings: { k: 5, nFree: 4 } },
      ['settings', 'k'],
      /at most nFree/,
    ],
    [{ axes: [{ values: [{ layer: 7 }] }] }, ['axes', '0', 'values', '0', 'layer'], /to 1/],
    [{ axes: [{ values: [{ layer: 0 }] }], layers: [0] }, ['axes', '0'], /layer must be left out/],
    [{ axes: [{ values: [{ seed: 0 }] }], seeds: [0] }, ['axes', '0'], /seed must be left out/],
    [{ axes: [{ values: [{ nFree: 8 }, { nFree: 8 }] }] }, ['axes'], /same settings/],
    [
      { axes: [{ values: Array.from({ length: 257 }, (_, i) => ({ nFree: i + 1 })) }] },
      ['axes'],
      /256 parts; the axes alone make 257/,
    ],
    [{ layers: [0, 2] }, ['layers', '1'], /-1 .* to 1/],
    [{ layers: [0, 0] }, ['layers', '1'], /twice/],
    [{ layers: [] }, ['layers'], /one or more/],
    [{ seeds: [1, 2, 1] }, ['seeds', '2'], /twice/],
    [{ seeds: [-1] }, ['seeds', '0'], /0–2147483647, got -1/],
    [
      { seeds: Array.from({ length: 86 }, (_, i) => i) },
      ['layers'],
      /256 parts; 3 layers × 86 seeds are 258/,
    ],
    [{ settings: { layer: 1 } }, ['settings', 'layer'], /layers says which/],
    [{ settings: { seed: 1 }, seeds: [1] }, ['settings', 'seed'], /left out/],
    [{ settings: { nFree: 0 } }, ['settings', 'nFree'], /./],
  ])('refuses %j, and queues nothing', async (input, path, message) => {
    const { db } = api.database;
    const before = await db.$count(runs);
    expect(await start(input)).toMatchObject({
      ...{ __typename: 'InputError', path, message: expect.stringMatching(message) },
    });
    expect(await db.$count(runs)).toBe(before);
  });
});

describe('an alignment sweep', () => {
  it('shows what is measured so far, and tells of each part that ends', async () => {
    const { db } = api.database;
    const { run } = await start({ layers: [0, 1], seeds: [0, 1] });
    const EVENTS =
      'subscription ($id: ID!) { runEvents(id: $id) { event { __typename ... on RunStatusChanged { status progress } ... on PartFinished { run { id status ... on AlignmentRun { layer } } } } } }';
    const events = await api.subscribe(EVENTS, { id: run.id });
    const [first, second, third, fourth] = partsOf(run).map(({ id }) => id);
    await finishPart(first, { bound: 4, swapped: 1 });
    await finishPart(second, { bound: 20, swapped: 9 });
    const halfWay = (await api.ask(TABLES, { id: run.id })).run;
    expect(halfWay).toMatchObject({ status: 'RUNNING', progress: 0.5 });
    expect(halfWay.bindingByLayer.map(({ layer, seed }: Data) => [layer, seed])).toEqual([
      ...[
        [0, 0],
        [0, null],
      ],
      ...[
        [1, 0],
        [1, null],
      ],
    ]);
    await finishPart(third, { bound: 8, swapped: 2 });
    const worker = await insertWorker(db);
    const runId = rowId(fourth);
    const claimed = await claimRun(db, { runId, workerId: worker.id, backend: 'wasm' });
    await failRun(db, { runId, attempt: claimed!.attempt }, { code: 'ENGINE_FAILED', message: 'it broke' });
    const told: Data[] = [];
    for await (const { data } of events) told.push(data.runEvents.event);
    const parts = told.filter(({ __typename }) => __typename === 'PartFinished').map((event) => event.run);
    expect(parts.map(({ id }) => id)).toEqual([first, second, third, fourth]);
    expect(parts.map(({ status, layer }) => [status, layer])).toEqual([
      ...[
        ['SUCCEEDED', 0],
        ['SUCCEEDED', 1],
      ],
      ...[
        ['SUCCEEDED', 0],
        ['FAILED', 1],
      ],
    ]);
    expect(told.at(-1)).toEqual({ __typename: 'RunStatusChanged', status: 'SUCCEEDED', progress: 1 });

    const done = (await api.ask(TABLES, { id: run.id })).run;
    expect(done.partCounts).toEqual({ queued: 0, succeeded: 3, failed: 1, cancelled: 0 });
    expect(done.bindingByLayer[0]).toMatchObject({ layer: 0, seed: 0, parts: 1, run: { id: first } });
    expect(done.bindingByLayer[2]).toMatchObject({ layer: 0, seed: null, parts: 2, run: null });
    const { rate, deviation } = done.bindingByLayer[2];
    expect(rate).toMatchObject({ successes: 12, trials: 40, value: 0.3 });
    expect(rate.interval.low).toBeCloseTo(0.1807, 3);
    expect(rate.interval.high).toBeCloseTo(0.4543, 3);
    expect(deviation).toBeCloseTo(0.2 / Math.SQRT2);
    expect(done.swapSuccessByLayer).toEqual([
      row(0, 0, 1, 1),
      row(0, 1, 1, 2),
      { ...row(0, null, 2, 3), rate: { successes: 3, trials: 20 }, random: { successes: 0, trials: 20 } },
      row(1, 0, 1, 9),
      row(1, null, 1, 9),
    ]);
  });

  it('tells of points apart, of alpha by layer, and as a file', async () => {
    const axes = [{ values: [{ weights: { ortho: 0 } }, { weights: { ortho: 2 } }] }];
    const { run } = await start({ axes, layers: [0], seeds: [0, 1] });
    for (const [i, { id }] of partsOf(run).entries()) await finishPart(id, { bound: 5 * i, swapped: i });
    const POINTS = /* GraphQL */ `
      query ($id: ID!) {
        run(id: $id) {
          ... on AlignmentSweepRun {
            varied
            bindingByLayer { layer seed settings { key value } rate { successes } }
            swapSuccessByAlpha { layer seed alpha settings { value } parts rate { successes trials } deviation }
          }
        }
      }
    `;
    const shown = (await api.ask(POINTS, { id: run.id })).run;
    expect(shown.varied).toEqual(['weights.ortho']);
    expect(
      shown.bindingByLayer.map(({ settings, seed, rate }: Data) => [settings, seed, rate.successes]),
    ).toEqual(
      ['0', '2'].flatMap((value, point) => {
        const settings = [{ key: 'weights.ortho', value }];
        const [first, second] = [5 * point, 5 * (point + 2)]; // seed by seed
        return [
          [settings, 0, first],
          [settings, 1, second],
          [settings, null, first! + second!],
        ];
      }),
    );
    expect(
      shown.swapSuccessByAlpha.map(({ settings, alpha, seed, rate }: Data) => [
        settings[0].value,
        alpha,
        seed,
        rate.successes,
      ]),
    ).toEqual([
      ...[
        ['0', 2, 0, 0],
        ['0', 2, 1, 2],
        ['0', 2, null, 2],
      ],
      ...[
        ['0', 9, 0, 10],
        ['0', 9, 1, 10],
        ['0', 9, null, 20],
      ],
      ...[
        ['2', 2, 0, 1],
        ['2', 2, 1, 3],
        ['2', 2, null, 4],
      ],
      ...[
        ['2', 9, 0, 10],
        ['2', 9, 1, 10],
        ['2', 9, null, 20],
      ],
    ]);
    expect(shown.swapSuccessByAlpha[2]).toMatchObject({
      parts: 2,
      deviation: expect.closeTo(0.2 / Math.SQRT2),
    });
    const { rows } = await api.database.db.execute(
      alignmentSweep.tables['part-swaps']!.rows(listOf([rowId(run.id)])),
    );
    expect(new Set(rows.map(({ settings }) => JSON.stringify(settings)))).toEqual(
      new Set(['{"weights.ortho":0}', '{"weights.ortho":2}']),
    );
  });

  it('is cloned with its axes, and other settings beside them', async () => {
    const CLONE = /* GraphQL */ `
      mutation ($input: CloneRunInput!) {
        cloneRun(input: $input) {
          __typename
          ... on StartRunSuccess { run { id ... on AlignmentSweepRun { layers seeds varied parts(first: 9) { edges { node { settings { nFree layer seed } } } } } } }
          ... on InputError { message path }
        }
      }
    `;
    const axes = [
      {
        values: [
          { preset: 'AUTHORS', nFree: 8 },
          { preset: 'PAPER', nFree: 9 },
        ],
      },
    ];
    const { run } = await start({ axes, seeds: [5], settings: { layer: 1 } });
    const settingsOf = async (id: string) => {
      const parts = await api.database.db
        .select()
        .from(runs)
        .where(eq(runs.parentId, rowId(id)))
        .orderBy(runs.id);
      return parts.map(({ settings }) => settings as Data);
    };
    const { cloneRun } = await api.ask(CLONE, { input: { id: run.id, alignment: { deadAfter: 7 } } });
    expect(cloneRun.run).toMatchObject({ layers: [1], seeds: [5], varied: ['nFree', 'preset'] });
    expect(await settingsOf(cloneRun.run.id)).toEqual(
      (await settingsOf(run.id)).map((settings) => ({ ...settings, deadAfter: 7 })),
    );
    expect(await api.ask(CLONE, { input: { id: run.id, alignment: { nFree: 7 } } })).toMatchObject({
      cloneRun: {
        __typename: 'InputError',
        path: ['alignment', 'nFree'],
        message: expect.stringContaining('by its axes'),
      },
    });
  });

  it('takes its parts along when it is cancelled, and off the queue', async () => {
    const { run } = await start({ layers: [0, 1] });
    await api.ask('mutation ($id: ID!) { cancelRun(input: { id: $id }) { __typename } }', { id: run.id });
    const CANCELLED =
      'query ($id: ID!) { node(id: $id) { ... on AlignmentSweepRun { status partCounts { cancelled } } } }';
    expect((await api.ask(CANCELLED, { id: run.id })).node).toEqual({
      ...{ status: 'CANCELLED', partCounts: { cancelled: 2 } },
    });
    const keys = partsOf(run).map(({ id }) => `run:${rowId(id)}`);
    const { rows } = await api.database.pool.query('select 1 from graphile_worker.jobs where key = any($1)', [
      keys,
    ]);
    expect(rows).toEqual([]);
  });

  it('hides its parts from a list of what stands alone', async () => {
    const RUNS =
      'query ($isPart: Boolean!) { runs(first: 500, filter: { isPart: $isPart }) { edges { node { kind } } } }';
    const kinds = async (isPart: boolean) =>
      new Set((await api.ask(RUNS, { isPart })).runs.edges.map(({ node }: Data) => node.kind));
    expect(await kinds(false)).toEqual(new Set(['ALIGNMENT_SWEEP']));
    expect(await kinds(true)).toEqual(new Set(['ALIGNMENT']));
    const [part] = await api.database.db.select().from(runs).where(eq(runs.kind, 'ALIGNMENT')).limit(1);
    expect(part!.parentId).not.toBeNull();
  });
});

function row(layer: number, seed: number | null, parts: number, successes: number) {
  const [rate, random] = [successes, 0].map((n) => ({ successes: n, trials: 10 }));
  return { layer, seed, parts, alpha: 2, rate, random };
}
