/** SAEs that are there, made use of by runs: begun with, frozen or trained on. */
import { join } from 'node:path';
import { eq } from 'drizzle-orm';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { storeArtifact } from '../../src/db/queries/artifacts.ts';
import { type Sae, saesOfRuns, usedSaeOfRuns } from '../../src/db/queries/saes.ts';
import { latentStats, latentSurveys, runs, saes, slots } from '../../src/db/tables/index.ts';
import type { Concentration } from '../../src/engine/contract/alignment.ts';
import { ALIGNMENT_PRESETS } from '../../src/engine/contract/alignmentPresets.ts';
import type { AlignmentSettingsInput } from '../../src/engine/contract/alignmentSettings.ts';
import { initSae } from '../../src/engine/sae/autoencoder.ts';
import { readSae, writeSae } from '../../src/engine/sae/file.ts';
import { startAlignmentRun } from '../../src/runs/alignment.ts';
import { startAlignmentSweep } from '../../src/runs/alignmentSweep.ts';
import { startBaselineRun } from '../../src/runs/baseline.ts';
import { startClone } from '../../src/runs/clone.ts';
import { copyEndedRun } from '../../src/runs/copy.ts';
import { startModelRun } from '../../src/runs/model.ts';
import { conceptLatentsOfRuns, faithfulnessOfRuns } from '../../src/runs/sae.ts';
import { startSaeEvaluation } from '../../src/runs/saeEvaluation.ts';
import { cellsOfRuns, startSwapSweep } from '../../src/runs/swapSweep.ts';
import { cancelRun } from '../../src/services/run.ts';
import { evaluationsOfSaes, measuringRuns } from '../../src/services/sae.ts';
import { measuresOfRuns } from '../../src/services/slot.ts';
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
  // Nobody waits for what is known of latents when a training ends.
  const known = await farm.database.db.select().from(latentStats).where(eq(latentStats.saeId, sae.id));
  expect(
    known.map(({ index, datasetId }) => [index, datasetId]).sort(([a], [b]) => Number(a) - Number(b)),
  ).toEqual(Array.from({ length: 30 }, (_, index) => [index, farm.datasetId]));
  expect(known.some(({ fired }) => fired > 0)).toBe(true);
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

test('seeds of a sweep begin with an SAE that is there, at its layer alone', async () => {
  const { db } = farm.database;
  const given = { modelId, pretrainedSaeId: imported.id, seeds: [1, 2], settings: ALIGNMENT };
  await expect(startAlignmentSweep(db, { ...given, layers: [0, 1] })).rejects.toMatchObject({
    ...{ code: 'INVALID_INPUT', path: ['layers', '1'] },
    message: expect.stringMatching(/layers must be 0 alone, where the SAE to begin with reads.*got 1/),
  });
  const { id } = await startAlignmentSweep(db, given);
  await cancelRun(db, id);
  const parts = await db.select().from(runs).where(eq(runs.parentId, id)).orderBy(runs.id);
  expect(parts.map(({ settings }) => settings)).toMatchObject(
    [1, 2].map((seed) => ({ seed, layer: 0, nFree: 30, activation: 'JUMP_RELU', pretrain: { steps: 0 } })),
  );
  for (const { id: again } of [await copyEndedRun(db, id), await startClone(db, id, {})]) {
    await cancelRun(db, again);
    const copies = await db.select().from(runs).where(eq(runs.parentId, again));
    const ids = [id, ...parts.map((part) => part.id), again, ...copies.map((part) => part.id)];
    const used = await usedSaeOfRuns(db, ids);
    expect(used.map((sae) => sae?.id)).toEqual(Array(6).fill(imported.id));
  }
});

const closely = (concentrations: (Concentration | null)[] | null) =>
  concentrations?.map(
    (one) => one && { effFeat: expect.closeTo(one.effFeat, 4), top1Conc: expect.closeTo(one.top1Conc, 5) },
  ) ?? null;

test('an evaluation measures an SAE of a run as its run did, and an imported one', async () => {
  const { db } = farm.database;
  const evaluate = async (saeId: string) => {
    const run = await farm.ended((await startSaeEvaluation(db, { saeId })).id);
    expect(run).toMatchObject({ status: 'SUCCEEDED', errorMessage: null, kind: 'SAE_EVALUATION' });
    const [measures] = await measuresOfRuns(db, [run.id]);
    const [replaced] = await faithfulnessOfRuns(db, [run.id]);
    const [best] = await conceptLatentsOfRuns(db, [run.id]);
    const without = <T extends { runId: string }>(rows: T[]) => rows.map(({ runId: _, ...row }) => row);
    return { run, measures: without(measures!), replaced: without(replaced!), best: without(best!) };
  };
  const own = await evaluate(trained.id);
  const [measures] = await measuresOfRuns(db, [trained.runId!]);
  // A stored scale is a float32.
  expect(own.measures).toEqual(
    measures!.map(({ runId: _, ...row }) => ({
      ...row,
      fvu: expect.closeTo(row.fvu, 6),
      slotMargin: row.slotMargin && expect.closeTo(row.slotMargin, 5),
      concentration: closely(row.concentration),
      slotConcentration: closely(row.slotConcentration),
    })),
  );
  const [replaced] = await faithfulnessOfRuns(db, [trained.runId!]);
  expect(own.replaced).toEqual(
    replaced!.map(({ runId: _, ...row }) => ({ ...row, crossEntropy: expect.closeTo(row.crossEntropy, 4) })),
  );
  const theirs = await evaluate(imported.id);
  expect(theirs.measures.map(({ split }) => split).sort()).toEqual(['TEST_OOD', 'TRAIN', 'VALIDATION']);
  expect(theirs.best).toHaveLength(6);
  for (const { l0, fvu } of theirs.measures) {
    expect(l0).toBeGreaterThan(0);
    expect(fvu).toBeGreaterThan(0);
  }
  const [row] = await db.select().from(latentSurveys).where(eq(latentSurveys.saeId, imported.id));
  expect(row!.prompts).toBeGreaterThan(100);
  const stats = await db.select().from(latentStats).where(eq(latentStats.saeId, imported.id));
  expect(stats).toHaveLength(30);
  const [measuring, nobody] = await measuringRuns(db, [imported.id, `${imported.id}/${crypto.randomUUID()}`]);
  expect(measuring!.id).toBe(theirs.run.id);
  expect(nobody).toBeNull();
  expect((await evaluationsOfSaes(db, [imported.id]))[0]!.map(({ id }) => id)).toEqual([theirs.run.id]);
});

test('a sweep compares with an SAE that was imported', async () => {
  const { db } = farm.database;
  const settings = { layer: 0, nFree: 24, valueHidden: 8, alphas: [1], swapTrials: 10 };
  const { posttrain } = ALIGNMENT;
  const pretrain = { steps: 10 };
  const alignment = await farm.ended(
    (await startAlignmentRun(db, { modelId, settings: { ...settings, pretrain, posttrain } })).id,
  );
  const start = (baselineSaeId: string, more = {}) =>
    startSwapSweep(db, {
      ...{ runId: alignment.id, baselineSaeId, ...more },
      settings: {
        methods: ['LATENT_DECODE'],
        alphas: [1],
        controls: ['UNSUPERVISED_LATENT'],
        promptsPerPair: 2,
      },
    });
  const sweep = await farm.ended((await start(imported.id)).id);
  expect(sweep).toMatchObject({ status: 'SUCCEEDED', errorMessage: null, baselineRunId: null });
  const [cells] = await cellsOfRuns(db, [sweep.id]);
  expect(cells!.map(({ edited }) => edited)).toEqual(['CONCEPT', 'UNSUPERVISED_LATENT']);
  expect((await usedSaeOfRuns(db, [sweep.id]))[0]!.id).toBe(imported.id);
  await expect(start(trained.id)).rejects.toMatchObject({ path: ['baselineSaeId'], message: /layer 1/ });
  const [[slotted]] = (await saesOfRuns(db, [alignment.id])) as [[Sae]];
  await expect(start(slotted.id)).rejects.toMatchObject({ path: ['baselineSaeId'], message: /has slots/ });
  await expect(start(imported.id, { baselineRunId: crypto.randomUUID() })).rejects.toMatchObject({
    path: ['baselineSaeId'],
  });
});
