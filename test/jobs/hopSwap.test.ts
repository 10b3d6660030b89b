import { fileURLToPath } from 'node:url';
import { and, eq } from 'drizzle-orm';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { collectArtifact } from '../../src/db/queries/artifacts.ts';
import { hopSaesOfRuns } from '../../src/db/queries/hopSaes.ts';
import type { Run } from '../../src/db/queries/runs.ts';
import { hopSwaps, runs } from '../../src/db/tables/index.ts';
import { startGrokkingRun } from '../../src/runs/grokking.ts';
import { hopSwapsOfRuns, type NewHopSwapRun, startHopSwapRun } from '../../src/runs/hopSwap.ts';
import { importDataset } from '../../src/services/datasetCreation.ts';
import { pointsOfRuns, trainingsOfRuns } from '../../src/services/grokking.ts';
import { cancelRun } from '../../src/services/run.ts';
import { storeTwoHops, TINY_TWO_HOPS } from '../helpers/twoHops.ts';
import { type Farm, openFarm, processGone, workFiles } from './farm.ts';

vi.setConfig({ testTimeout: 180_000 });

const { modelSettings } = TINY_TWO_HOPS;
const analysis = { ...TINY_TWO_HOPS.analysis, shared: false };
const SWAPS = {
  ...{ methods: ['LATENT_DECODE' as const, 'MEAN_DIFFERENCE' as const], alphas: [1, 2], trials: 20 },
};
/** At each hop. */
const EDITED = [
  ...['CONCEPT', 'UNSUPERVISED_LATENT', 'RANDOM_LATENT', 'MEAN_DIFFERENCE'],
  ...['TRUE_ACTIVATION', 'SUM'],
];
let farm: Farm;
let datasetId: string;
let grokking: Run;
/** The swaps of its last checkpoint, of a run that nothing happened to. */
let whole: Run;

beforeAll(async () => {
  farm = await openFarm({ people: 1 });
  datasetId = await storeTwoHops(farm.database.db);
  await farm.startWorker();
  const settings = { checkpoints: { steps: [60, 120] }, analysis };
  const { id } = await startGrokkingRun(farm.database.db, { datasetId, modelSettings, settings });
  grokking = await farm.ended(id);
  whole = await farm.ended((await start({ runId: id })).id);
}, 180_000);
afterEach(() => farm.stopWorkers());
afterAll(() => farm.close());

const start = (input: NewHopSwapRun) =>
  startHopSwapRun(farm.database.db, { settings: SWAPS, ...input } as NewHopSwapRun);
const measured = async (runId: string) => {
  const [rows] = await hopSwapsOfRuns(farm.database.db, [runId]);
  return rows!.map(({ runId: _, ...row }) => row);
};
const saesOf = async (runId: string) => {
  const [saes] = await hopSaesOfRuns(farm.database.db, [runId]);
  return saes!.map(({ hop, artifactHash }) => ({ hop, artifactHash }));
};
const analysisAt = async (runId: string, step: number): Promise<Run> => {
  const [run] = await farm.database.db
    .select()
    .from(runs)
    .where(and(eq(runs.parentId, runId), eq(runs.step, step)));
  return run!;
};

test('an analysis keeps the SAE of each hop, and a hop-swap run edits those of the last checkpoint', async () => {
  const last = await analysisAt(grokking.id, 120);
  const saes = await saesOf(last.id);
  expect(saes.map(({ hop }) => hop)).toEqual([1, 2]);
  expect(saes[0]!.artifactHash).not.toBe(saes[1]!.artifactHash);
  expect(await collectArtifact(farm.database.db, farm.store, saes[1]!.artifactHash)).toBe(false);
  expect(whole).toMatchObject({
    ...{
      status: 'SUCCEEDED',
      progress: 1,
      analysisRunId: last.id,
      modelId: last.modelId,
      artifactHash: null,
    },
    datasetHash: last.datasetHash,
  });
  expect(await saesOf(whole.id)).toEqual([]);
  const rows = await measured(whole.id);
  expect(rows.map(({ position, hop, edited }) => `${position} ${hop} ${edited}`)).toEqual(
    [1, 2].flatMap((hop, h) => EDITED.map((edited, i) => `${h * EDITED.length + i} ${hop} ${edited}`)),
  );
  for (const { edited, alpha, choosing, shownTrials, withheldTrials } of rows) {
    // An activation put in the place of another one has no strength.
    const tries = ['TRUE_ACTIVATION', 'SUM'].includes(edited) ? [1] : [1, 2];
    expect(choosing.map((tried) => tried.alpha)).toEqual(tries);
    expect([1, 2]).toContain(alpha);
    expect(shownTrials).toBe(20);
    expect(withheldTrials).toBeGreaterThan(0);
  }
});

test('a model is given SAEs of its own, the same as an analysis with these settings trains', async () => {
  await farm.startWorker();
  const [training] = await trainingsOfRuns(farm.database.db, [grokking.id]);
  const run = await farm.ended((await start({ modelId: training!.modelId!, analysis })).id);
  expect(run).toMatchObject({ status: 'SUCCEEDED', analysisRunId: null });
  expect(await measured(run.id)).toEqual(await measured(whole.id));
  expect(await saesOf(run.id)).toEqual(await saesOf((await analysisAt(grokking.id, 120)).id));
});

test('one SAE over both hops is edited at both', async () => {
  await farm.startWorker();
  const [training] = await trainingsOfRuns(farm.database.db, [grokking.id]);
  const shared = { ...analysis, shared: true };
  const run = await farm.ended((await start({ modelId: training!.modelId!, analysis: shared })).id);
  const saes = await saesOf(run.id);
  expect(saes).toEqual([1, 2].map((hop) => ({ hop, artifactHash: run.artifactHash })));
  expect((await measured(run.id)).map(({ hop }) => hop)).toEqual(
    [1, 2].flatMap((hop) => EDITED.map(() => hop)),
  );
});

test('a run whose engine is killed does it again to the same figures; a cancelled one leaves nothing', async () => {
  const worker = await farm.startWorker();
  const { id } = await start({ runId: grokking.id, step: 120 });
  const [pid] = await farm.waitFor(async () => worker.enginePids.length > 0 && worker.enginePids);
  process.kill(pid!, 'SIGKILL');
  await processGone(pid!);
  expect(await farm.ended(id)).toMatchObject({ status: 'SUCCEEDED', attempt: 1 });
  expect(await measured(id)).toEqual(await measured(whole.id));

  const cancelled = await start({ runId: grokking.id });
  const [next] = await farm.waitFor(async () => worker.enginePids.length > 0 && worker.enginePids);
  await cancelRun(farm.database.db, cancelled.id);
  await processGone(next!);
  expect((await farm.ended(cancelled.id)).status).toBe('CANCELLED');
  const left = await farm.database.db.select().from(hopSwaps).where(eq(hopSwaps.runId, cancelled.id));
  expect(left).toEqual([]);
  await farm.waitFor(async () => (await workFiles(farm)).length === 0);
});

test('the published data can be learned, followed and swapped from the files as they are', async () => {
  const { db } = farm.database;
  await farm.startWorker();
  const importDir = fileURLToPath(new URL('../../data', import.meta.url));
  const published = await importDataset(
    db,
    { format: 'TWO_HOP', path: 'two-hop', stepwise: true },
    importDir,
  );
  const settings = {
    checkpoints: { steps: [0, 10] },
    analysis: { ...analysis, maxQuestions: 300 },
  };
  const { id } = await startGrokkingRun(db, {
    ...{ datasetId: published.id, settings },
    modelSettings: { ...modelSettings, nCtx: 20, steps: 10 },
  });
  expect(await farm.ended(id)).toMatchObject({ status: 'SUCCEEDED' });
  const [points] = await pointsOfRuns(db, [id]);
  expect(
    points!.map(({ step, heldOutQuestions, oneHopQuestions }) => [step, heldOutQuestions, oneHopQuestions]),
  ).toEqual([0, 10].map((step) => [step, 300, 300]));
  expect(points![0]!.hops.map(({ matrix }) => matrix.length)).toEqual([20, 20]);
  const swaps = await farm.ended((await start({ runId: id })).id);
  expect(swaps).toMatchObject({ status: 'SUCCEEDED' });
  expect(await measured(swaps.id)).toHaveLength(2 * EDITED.length);
});
