/** SAEs that are there, made use of by runs: begun with, frozen or trained on. */
import { join } from 'node:path';
import { eq } from 'drizzle-orm';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { storeArtifact } from '../../src/db/queries/artifacts.ts';
import { type Sae, saesOfRuns } from '../../src/db/queries/saes.ts';
import { saes, slots } from '../../src/db/tables/index.ts';
import { ALIGNMENT_PRESETS } from '../../src/engine/contract/alignmentPresets.ts';
import type { AlignmentSettingsInput } from '../../src/engine/contract/alignmentSettings.ts';
import { initSae } from '../../src/engine/sae/autoencoder.ts';
import { readSae, writeSae } from '../../src/engine/sae/file.ts';
import { startAlignmentRun } from '../../src/runs/alignment.ts';
import { startBaselineRun } from '../../src/runs/baseline.ts';
import { startModelRun } from '../../src/runs/model.ts';
import { type Farm, openFarm, readValues } from './farm.ts';

const MODEL = { nLayers: 2, nHeads: 2, dModel: 16, steps: 40, batchSize: 16, warmupSteps: 10 };
const ALIGNMENT: AlignmentSettingsInput = {
  ...{ valueHidden: 8, alphas: [1, 2], swapTrials: 10, logEvery: 1 },
  posttrain: { steps: 40, batchSize: 32 },
};
let farm: Farm;
let modelId: string;
/** Of a baseline run, and one as it is imported. */
let trained: Sae;
let imported: Sae;

beforeAll(async () => {
  farm = await openFarm({ people: 10 });
  await farm.startWorker();
  const { db } = farm.database;
  const model = await farm.ended(
    (await startModelRun(db, { datasetId: farm.datasetId, settings: MODEL })).id,
  );
  modelId = model.modelId!;
  const settings = { layer: 1, nFree: 24, steps: 30, batchSize: 32 };
  const baseline = await farm.ended((await startBaselineRun(db, { modelId, settings })).id);
  trained = (await saesOfRuns(db, [baseline.id]))[0]![0]!;
  imported = await storeImported();
});
afterAll(() => farm.close());

/** A JumpReLU SAE without a run. */
async function storeImported(): Promise<Sae> {
  const config = {
    dModel: 16,
    nFree: 30,
    nConcepts: 0,
    activation: 'JUMP_RELU',
    k: 1,
    valueHeads: null,
  } as const;
  const weights = initSae(config, 4);
  weights.threshold!.data.fill(0.2);
  const file = await writeSae(join(farm.dir, 'imported.safetensors'), {
    ...{ config, weights, concepts: [], bestStep: 0 },
    settings: { ...ALIGNMENT_PRESETS.PAPER, layer: 0, nFree: 30, unseenShare: 0, validationShare: 0 },
    normalization: { mean: new Float32Array(16).fill(0.1), scale: 0.5 },
    conceptMeans: new Float32Array(0),
  });
  return farm.database.db.transaction(async (tx) => {
    const artifactHash = await storeArtifact(tx, farm.store, file, 'SAE');
    const source = { kind: 'DIRECTORY', path: 'x', file: 'y' } as const;
    const [sae] = await tx
      .insert(saes)
      .values({ name: 'Theirs', source, modelId, datasetId: farm.datasetId, layer: 0, config, artifactHash })
      .returning();
    return sae!;
  });
}

const align = async (pretrainedSaeId: string, settings: AlignmentSettingsInput = {}) => {
  const { db } = farm.database;
  const run = await startAlignmentRun(db, {
    ...{ modelId, pretrainedSaeId },
    settings: { ...ALIGNMENT, ...settings },
  });
  const ended = await farm.ended(run.id);
  expect(ended).toMatchObject({ status: 'SUCCEEDED', errorMessage: null });
  const sae = (await saesOfRuns(db, [run.id]))[0]![0]!;
  return { run: ended, sae, stored: await readSae(await farm.store.path(sae.artifactHash)) };
};

test('an alignment begins with an SAE that is there: frozen, its latents stay; trained on, they do not', async () => {
  const theirs = await readSae(await farm.store.path(trained.artifactHash));
  const rows = theirs.weights['decoder.weight']!.data;
  const { run, sae, stored } = await align(trained.id, { freezeFree: true });
  expect(run.settings).toMatchObject({ layer: 1, nFree: 24, activation: 'RELU', pretrain: { steps: 0 } });
  expect(sae.config).toMatchObject({ nFree: 24, nConcepts: 6 });
  const frozen = stored.weights['decoder.weight']!.data;
  expect(frozen.slice(0, rows.length)).toEqual(rows);
  const encoder = stored.weights['encoder.weight']!.data;
  const own = theirs.weights['encoder.weight']!.data;
  for (let i = 0; i < 16; i++)
    expect(encoder.slice(i * 30, i * 30 + 24)).toEqual(own.slice(i * 24, (i + 1) * 24));
  expect((await farm.database.db.select().from(slots).where(eq(slots.runId, run.id))).length).toBe(6);
  const values = await readValues(farm, run.id);
  expect(values.get('loss 40')!).toBeLessThan(values.get('loss 1')!);
  const free = await align(trained.id);
  const learned = free.stored.weights['decoder.weight']!.data;
  expect(learned.slice(0, rows.length)).not.toEqual(rows);
});

test('one that was imported keeps its thresholds in their units', async () => {
  const { run, stored } = await align(imported.id, { preset: 'COUNTERFACTUAL' });
  expect(run.settings).toMatchObject({ layer: 0, nFree: 30, activation: 'JUMP_RELU' });
  const q = stored.normalization.scale / 0.5;
  const threshold = stored.weights.threshold!.data;
  expect(threshold).toHaveLength(30);
  for (const value of threshold) expect(value * q).toBeCloseTo(0.2, 5);
});

test('what does not fit is refused before anything is queued', async () => {
  const { db } = farm.database;
  const start = (input: object) => startAlignmentRun(db, { modelId, ...input });
  const refused = (path: string[], message: RegExp) => ({
    code: 'INVALID_INPUT',
    path,
    message: expect.stringMatching(message),
  });
  const pretrainedSaeId = imported.id;
  await expect(start({ pretrainedSaeId, settings: { nFree: 31 } })).rejects.toMatchObject(
    refused(['settings', 'nFree'], /nFree must be 30.*got 31/),
  );
  await expect(start({ pretrainedSaeId, settings: { decoderNorm: 'UNIT' } })).rejects.toMatchObject(
    refused(['settings', 'decoderNorm'], /must be FREE/),
  );
  await expect(start({ settings: { activation: 'JUMP_RELU' } })).rejects.toMatchObject(
    refused(['settings', 'activation'], /JUMP_RELU/),
  );
  const { sae } = await align(trained.id);
  await expect(start({ pretrainedSaeId: sae.id })).rejects.toMatchObject(
    refused(['pretrainedSaeId'], /has 6 slots/),
  );
  await expect(start({ pretrainedSaeId: crypto.randomUUID() })).rejects.toMatchObject({ code: 'NOT_FOUND' });
});
