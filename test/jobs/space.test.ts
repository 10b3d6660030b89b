import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { and, eq } from 'drizzle-orm';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { runEvents } from '../../src/db/tables/index.ts';
import { startModelRun } from '../../src/runs/model.ts';
import { type Farm, openFarm } from './farm.ts';

vi.setConfig({ testTimeout: 180_000 });

const SETTINGS = {
  ...{ nLayers: 1, nHeads: 2, dModel: 16, steps: 300, batchSize: 16, warmupSteps: 10, logEvery: 1 },
  seed: 5,
};
/** A small disk, where this process may make one. */
let disk: string;
let mounted = false;
let farm: Farm;

beforeAll(async () => {
  disk = await mkdtemp(join(tmpdir(), 'alignsae-space-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', disk], { stdio: 'ignore' });
    mounted = true;
  } catch {
    // Not as this user, or not on this platform.
  }
  farm = await openFarm();
});
afterAll(async () => {
  await farm.close();
  if (mounted) execFileSync('umount', [disk]);
  await rm(disk, { recursive: true });
});

test('a run whose disk is full waits, says so, and ends as if there had been room', async ({ skip }) => {
  if (!mounted) skip('no file system of its own can be mounted here');
  const { database } = farm;
  const start = () => startModelRun(database.db, { datasetId: farm.datasetId, settings: SETTINGS });
  const workRoot = join(disk, 'work');
  await mkdir(workRoot);
  // Leaves no room for a checkpoint.
  await writeFile(join(disk, 'filler'), Buffer.alloc(2 ** 21)).catch(() => undefined);
  await farm.startWorker({ workRoot });
  const { id } = await start();
  await farm.waitFor(async () => {
    const logs = await database.db
      .select()
      .from(runEvents)
      .where(and(eq(runEvents.runId, id), eq(runEvents.type, 'LOG')));
    return logs.some(({ payload }) => /no space for the files/.test(String(payload.message)));
  });
  await rm(join(disk, 'filler'));
  const run = await farm.ended(id);
  const undisturbed = await farm.ended((await start()).id);
  expect(run).toMatchObject({ status: 'SUCCEEDED', artifactHash: undisturbed.artifactHash });
});
