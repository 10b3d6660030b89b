import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { readEvents } from '../../src/db/queries/events.ts';
import { listCellPositions } from '../../src/db/queries/sweepCells.ts';
import { startAlignmentRun } from '../../src/runs/alignment.ts';
import { startModelRun } from '../../src/runs/model.ts';
import { cellsOfRuns, startSwapSweep } from '../../src/runs/swapSweep.ts';
import { type Farm, openFarm } from './farm.ts';

vi.setConfig({ testTimeout: 180_000 });

const STAGE = { steps: 20, batchSize: 32 };
const SWEEP = {
  ...{ methods: ['LATENT_DECODE' as const, 'DECODER_PAIR' as const], alphas: [1, 2, 4] },
  ...{
    controls: ['RANDOM_LATENT' as const],
    population: 'SEEN' as const,
    promptsPerPair: 4,
    isolationPerPair: 4,
  },
};
let farm: Farm;
let alignmentId: string;

beforeAll(async () => {
  farm = await openFarm();
  await farm.startWorker();
  const { db } = farm.database;
  const model = await startModelRun(db, {
    datasetId: farm.datasetId,
    settings: { nLayers: 1, nHeads: 2, dModel: 16, steps: 60, batchSize: 16 },
  });
  const { modelId } = await farm.ended(model.id);
  const alignment = await startAlignmentRun(db, {
    modelId: modelId!,
    settings: { nFree: 16, alphas: [1], swapTrials: 4, pretrain: STAGE, posttrain: STAGE },
  });
  alignmentId = (await farm.ended(alignment.id)).id;
}, 180_000);
afterAll(() => farm.close());

const startSweep = () => startSwapSweep(farm.database.db, { runId: alignmentId, settings: SWEEP });
const cellsOf = async (runId: string) => {
  const [cells] = await cellsOfRuns(farm.database.db, [runId]);
  return cells!.map(({ runId: _, ...cell }) => cell);
};

test('a sweep stores each cell, tells of it once, and goes on behind them when its engine is killed', async () => {
  const { db } = farm.database;
  const whole = await farm.ended((await startSweep()).id);
  expect(whole.status).toBe('SUCCEEDED');
  expect(whole.result).toMatchObject({ edits: expect.any(Number), seconds: expect.any(Number) });
  const cells = await cellsOf(whole.id);
  expect(cells.map(({ position }) => position)).toEqual([...Array(12).keys()]);
  expect(cells[0]!.pairs).toHaveLength(30);

  await farm.stopWorkers();
  const worker = await farm.startWorker();
  const { id } = await startSweep();
  await farm.waitFor(async () => (await listCellPositions(db, id)).length > 0);
  for (const pid of worker.enginePids) process.kill(pid, 'SIGKILL');
  const killed = await farm.ended(id);
  expect(killed).toMatchObject({ status: 'SUCCEEDED', attempt: 1 });
  expect(await cellsOf(id)).toEqual(cells);
  const events = await readEvents(db, id, 0, 1000);
  expect(events.flatMap((event) => (event.type === 'CELL' ? event.position : []))).toEqual([
    ...Array(12).keys(),
  ]);
  expect(events.some((event) => event.type === 'LOG' && event.message.includes('goes on'))).toBe(true);
});

test('what cannot be swept is refused with its path', async () => {
  const { db } = farm.database;
  const start = (input: object) => startSwapSweep(db, { runId: alignmentId, ...input } as never);
  const pair = (source: string, target: string) => ({ pairs: [{ source, target }] });
  const nobody = '00000000-0000-4000-8000-000000000000';
  for (const [input, path, message] of [
    [{ settings: { alphas: [] } }, 'settings.alphas', ''],
    [{ settings: { alphas: [1, 1] } }, 'settings.alphas', 'must not repeat'],
    [{ settings: { alphas: [Number.NaN] } }, 'settings.alphas.0', ''],
    [{ settings: { methods: [] } }, 'settings.methods', ''],
    [{ settings: { promptsPerPair: 0 } }, 'settings.promptsPerPair', ''],
    [{ pairs: [] }, 'pairs', '1 to'],
    [pair('birth_city', 'birth_city'), 'pairs.0.target', 'two concepts'],
    [pair('birth_city', 'shoe_size'), 'pairs.0.target', 'shoe_size'],
    [{ pairs: [...pair('major', 'employer').pairs, ...pair('major', 'employer').pairs] }, 'pairs.1', 'twice'],
    [{ baselineRunId: alignmentId }, 'baselineRunId', 'BASELINE'],
  ] as const) {
    await expect(start(input), path).rejects.toMatchObject({
      code: 'INVALID_INPUT',
      path: path.split('.'),
      message: expect.stringContaining(message),
    });
  }
  await expect(start({ baselineRunId: nobody })).rejects.toMatchObject({ code: 'NOT_FOUND' });
  await expect(start({ runId: nobody })).rejects.toMatchObject({ code: 'NOT_FOUND' });
});
