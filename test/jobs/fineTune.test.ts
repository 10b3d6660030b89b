/** From a checkpoint in a directory to a model of one's own, through the queue. */

import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startModelRun } from '../../src/runs/model.ts';
import { readModel } from '../../src/runs/studied.ts';
import { ImportProcesses } from '../../src/services/importProcess.ts';
import { importModel } from '../../src/services/modelImport.ts';
import { silentLog } from '../helpers/log.ts';
import { type Farm, openFarm } from './farm.ts';

const FIXTURES = fileURLToPath(new URL('../fixtures/gpt2', import.meta.url));
let farm: Farm;
beforeAll(async () => {
  farm = await openFarm({ people: 2 });
});
afterAll(() => farm.close());

test('an imported model is fine-tuned on a dataset, and stays as it was', async () => {
  const { database, store, datasetId } = farm;
  const { db } = database;
  const imports = new ImportProcesses(silentLog);
  const options = {
    store,
    imports,
    importDir: FIXTURES,
    hub: { url: '', token: null },
    limits: { modelBytes: 1e9 },
  };
  const imported = await importModel(db, options, { path: 'original-names' });
  const start = (settings: Record<string, number>) =>
    startModelRun(db, { datasetId, modelId: imported.id, settings: { steps: 3, batchSize: 8, ...settings } });
  await expect(start({ nLayers: 2 })).rejects.toMatchObject({
    code: 'INVALID_INPUT',
    path: ['settings', 'nLayers'],
  });
  await farm.startWorker();
  const run = await farm.ended((await start({})).id);
  expect(run).toMatchObject({ status: 'SUCCEEDED', initialModelId: imported.id });
  expect(run.settings).toMatchObject({ nLayers: 1, dModel: 8, nCtx: 64, initStd: null, textShare: 0 });
  const tuned = await readModel(db, run.modelId!);
  expect(tuned).toMatchObject({
    config: imported.config,
    tokenizer: imported.tokenizer,
    datasetId,
    source: null,
  });
  expect(tuned.name).toMatch(/^original-names on /);
  expect(tuned.artifactHash).not.toBe(imported.artifactHash);
  expect(await readModel(db, imported.id)).toEqual(imported);
});
