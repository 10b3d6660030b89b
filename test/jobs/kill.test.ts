import { type ChildProcess, fork } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { and, eq } from 'drizzle-orm';
import { afterAll, afterEach, beforeAll, expect, inject, test, vi } from 'vitest';
import { readCheckpoint } from '../../src/db/queries/checkpoints.ts';
import { readEvents } from '../../src/db/queries/events.ts';
import { type Run, readRun } from '../../src/db/queries/runs.ts';
import { artifacts, metricPoints, runEvents, runs } from '../../src/db/tables/index.ts';
import { startModelRun } from '../../src/runs/model.ts';
import { cancelRun } from '../../src/services/run.ts';
import { type Farm, openFarm, processGone, readValues, workFiles } from './farm.ts';
import type { WorkerProcessOptions } from './workerProcess.ts';

/** Several engines start here one after the other; the bound is for a busy machine. */
vi.setConfig({ testTimeout: 180_000 });

const SETTINGS = {
  ...{ nLayers: 1, nHeads: 2, dModel: 16, steps: 400, batchSize: 16, warmupSteps: 10, logEvery: 1 },
  seed: 5,
};
const NEVER = 3_600_000;
let farm: Farm;
let unkilled: Run;
let values: Map<string, number>;

const startRun = () => startModelRun(farm.database.db, { datasetId: farm.datasetId, settings: SETTINGS });
const checkpointed = (runId: string) => farm.waitFor(() => readCheckpoint(farm.database.db, runId));
const measured = (runId: string, step: number) =>
  farm.waitFor(async () => {
    const here = and(eq(metricPoints.runId, runId), eq(metricPoints.step, step));
    return (await farm.database.db.select().from(metricPoints).where(here)).length > 0;
  });

beforeAll(async () => {
  farm = await openFarm({ people: 60 });
  await farm.startWorker();
  unkilled = await farm.ended((await startRun()).id);
  values = await readValues(farm, unkilled.id);
  await farm.stopWorkers();
});
afterEach(() => farm.stopWorkers());
afterAll(() => farm.close());

async function expectSameAsUnkilled(runId: string): Promise<Run> {
  const run = await farm.ended(runId);
  await farm.stopWorkers();
  expect(run.status).toBe('SUCCEEDED');
  expect(run.artifactHash).toBe(unkilled.artifactHash);
  expect(run.result).toEqual(unkilled.result);
  expect(await readValues(farm, runId)).toEqual(values);
  expect(await workFiles(farm)).toEqual([]);
  expect(await farm.database.db.select().from(artifacts).where(eq(artifacts.kind, 'CHECKPOINT'))).toEqual([]);
  return run;
}

test('a run whose engine is killed early and after a checkpoint ends as if it never was', async () => {
  const worker = await farm.startWorker();
  const { id } = await startRun();
  await measured(id, 1);
  process.kill(worker.enginePids[0]!, 'SIGKILL');
  await farm.waitFor(async () => (await crashes(id)) === 1 && worker.enginePids.length > 0);
  const { step } = await checkpointed(id);
  process.kill(worker.enginePids[0]!, 'SIGKILL');
  const run = await expectSameAsUnkilled(id);
  expect(run.attempt).toBe(1);
  expect(await crashes(id)).toBe(2);
  expect(await leastProgressSinceCrash(id)).toBeGreaterThan((0.99 * step) / SETTINGS.steps);
});

test('a run whose engine is killed in evaluation ends as if it never was', async () => {
  const worker = await farm.startWorker();
  let id: string;
  // An evaluation may end before the kill arrives; then another run has to do.
  do {
    id = (await startRun()).id;
    await farm.waitFor(async () => /EVALUATE|DONE/.test((await readRun(farm.database.db, id))!.phase));
    for (const pid of worker.enginePids) process.kill(pid, 'SIGKILL');
    await farm.ended(id);
  } while ((await crashes(id)) === 0);
  await expectSameAsUnkilled(id);
});

test('a run of a killed worker goes on at another one', async () => {
  const worker = await startWorkerProcess();
  const { id } = await startRun();
  await checkpointed(id);
  worker.send('engines');
  const [[enginePid]] = (await once(worker, 'message')) as [[number]];
  worker.kill('SIGKILL');
  await processGone(enginePid);
  expect(await readRun(farm.database.db, id)).toMatchObject({ status: 'RUNNING', attempt: 1 });
  await farm.startWorker();
  const run = await expectSameAsUnkilled(id);
  expect(run.attempt).toBe(2);
});

test('an engine does not outlive a killed worker', async () => {
  const { db } = farm.database;
  const worker = await startWorkerProcess();
  const { id } = await startModelRun(db, {
    datasetId: farm.datasetId,
    settings: { ...SETTINGS, steps: 1_000_000 },
  });
  await measured(id, 1);
  worker.send('engines');
  const [[enginePid]] = (await once(worker, 'message')) as [[number]];
  worker.kill('SIGKILL');
  await processGone(enginePid);
  await cancelRun(db, id);
});

test('a worker that stops hands its run over with a checkpoint and without a process', async () => {
  const first = await farm.startWorker({ checkpointEveryMs: NEVER });
  const { id } = await startRun();
  await measured(id, 1);
  const enginePid = first.enginePids[0]!;
  await farm.stopWorkers();
  expect(() => process.kill(enginePid, 0)).toThrow('ESRCH');
  expect(await readRun(farm.database.db, id)).toMatchObject({ status: 'QUEUED', workerId: null });
  expect(await readCheckpoint(farm.database.db, id)).not.toBeNull();
  await farm.startWorker();
  await expectSameAsUnkilled(id);
});

test('a worker whose engine dies as it stops hands its run over at once', async () => {
  const worker = await farm.startWorker({ checkpointEveryMs: NEVER, drainMs: NEVER });
  const { id } = await startRun();
  await measured(id, 1);
  const enginePid = worker.enginePids[0]!;
  process.kill(enginePid, 'SIGSTOP');
  const stopped = farm.stopWorkers();
  process.kill(enginePid, 'SIGKILL');
  await stopped;
  expect(await readRun(farm.database.db, id)).toMatchObject({ status: 'QUEUED', workerId: null });
  await farm.startWorker();
  await expectSameAsUnkilled(id);
});

test('a run whose engine dies again and again without getting on fails and says so', async () => {
  const worker = await farm.startWorker({ checkpointEveryMs: NEVER });
  const { id } = await startRun();
  for (const crash of [1, 2, 3]) {
    const enginePid = await farm.waitFor(async () => worker.enginePids[0]);
    process.kill(enginePid, 'SIGKILL');
    await farm.waitFor(
      async () => (await crashes(id)) === crash || (await readRun(farm.database.db, id))?.errorCode,
    );
  }
  const run = await farm.ended(id);
  expect(run).toMatchObject({ status: 'FAILED', errorCode: 'ENGINE_FAILED' });
  expect(run.errorMessage).toMatch(/SIGKILL.*memory.*3 times/);
});

test.each(['damaged', 'missing'])('a run whose checkpoint is %s starts over, and says so', async (what) => {
  await farm.startWorker({ checkpointEveryMs: NEVER });
  const { id } = await startRun();
  await measured(id, 1);
  await farm.stopWorkers();
  const { step, artifactHash } = (await checkpointed(id))!;
  const path = await farm.store.path(artifactHash);
  if (what === 'missing') await rm(path);
  else await writeFile(path, randomBytes((await stat(path)).size));
  await farm.startWorker();
  await expectSameAsUnkilled(id);
  const [told] = await logsOf(id, /starts over/);
  expect(told).toContain(
    `the checkpoint at step ${step} cannot be read: its file, artifact ${artifactHash}, is ${what}`,
  );
});

test('a run whose checkpoint the engine refuses, as one of an earlier version, starts over, and says so', async () => {
  const { db } = farm.database;
  await farm.startWorker({ checkpointEveryMs: NEVER });
  const settings = { ...SETTINGS, seed: 7 };
  const { id } = await startModelRun(db, { datasetId: farm.datasetId, settings });
  await measured(id, 1);
  await farm.stopWorkers();
  await checkpointed(id);
  // Now the checkpoint is one of other settings than the run's.
  const { settings: stored } = (await readRun(db, id))!;
  await db
    .update(runs)
    .set({ settings: { ...stored, seed: SETTINGS.seed } })
    .where(eq(runs.id, id));
  await farm.startWorker();
  const run = await farm.ended(id);
  await farm.stopWorkers();
  expect(run).toMatchObject({ status: 'SUCCEEDED', artifactHash: unkilled.artifactHash });
  expect(await logsOf(id, /starts over/)).toEqual([
    'The engine refuses the checkpoint: the checkpoint to resume from belongs to another job. The run starts over from its beginning.',
  ]);
  expect(await db.select().from(artifacts).where(eq(artifacts.kind, 'CHECKPOINT'))).toEqual([]);
});

test('a run with the settings and the seed of another restores its damaged file', async () => {
  const hash = unkilled.artifactHash!;
  const path = await farm.store.path(hash);
  const bytes = await readFile(path);
  await writeFile(path, randomBytes(bytes.length));
  await expect(farm.store.path(hash, 'model "x"')).rejects.toThrow(
    new RegExp(`^model "x" cannot be read: its file, artifact ${hash}, is damaged: .*moved to damaged/`),
  );
  await farm.startWorker();
  const { id } = await startRun();
  await expectSameAsUnkilled(id);
  expect(bytes.equals(await readFile(await farm.store.path(hash)))).toBe(true);
});

/** How often the run's log says that its engine was killed. */
async function crashes(runId: string): Promise<number> {
  return (await logsOf(runId, /SIGKILL/)).length;
}

async function logsOf(runId: string, about: RegExp): Promise<string[]> {
  const logs = await farm.database.db
    .select()
    .from(runEvents)
    .where(and(eq(runEvents.runId, runId), eq(runEvents.type, 'LOG')));
  return logs.map(({ payload }) => String(payload.message)).filter((message) => about.test(message));
}

/** The earliest point at which the engine was seen after its last crash, 0–1. */
async function leastProgressSinceCrash(runId: string): Promise<number> {
  const events = await readEvents(farm.database.db, runId, 0, 10_000);
  const crash = events.findLastIndex(({ type }) => type === 'LOG');
  const progress = events.slice(crash).flatMap((event) => (event.type === 'STATUS' ? event.progress : []));
  return Math.min(...progress);
}

async function startWorkerProcess(): Promise<ChildProcess> {
  const child = fork(fileURLToPath(new URL('workerProcess.ts', import.meta.url)), {
    execArgv: ['--import', 'tsx'],
  });
  child.send({
    connectionString: farm.database.connectionString,
    storeRoot: join(farm.dir, 'artifacts'),
    workRoot: join(farm.dir, 'work'),
    native: inject('native'),
    info: farm.info,
    checkpointEveryMs: 100,
  } satisfies WorkerProcessOptions);
  expect(await once(child, 'message')).toEqual(['started', undefined]);
  return child;
}
