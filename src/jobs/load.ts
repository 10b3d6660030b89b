/** From a run's row to the engine's job: the dataset as plain data, the model as a file. */
import { eq } from 'drizzle-orm';
import type { ArtifactStore } from '../db/artifactStore.ts';
import type { Executor } from '../db/client.ts';
import { conceptLatentsOfRuns } from '../db/queries/conceptLatents.ts';
import { loadEngineDataset } from '../db/queries/engineDataset.ts';
import { listHopSaeHashes } from '../db/queries/hopSaes.ts';
import { type Run, readRun } from '../db/queries/runs.ts';
import { listCellPositions } from '../db/queries/sweepCells.ts';
import { models } from '../db/tables/index.ts';
import type { AlignmentSettings } from '../engine/contract/alignmentSettings.ts';
import type { GrokSettings } from '../engine/contract/analysisSettings.ts';
import type { BaselineSettings } from '../engine/contract/baselineSettings.ts';
import type { HopSwapJob, StoredHopSwapSettings } from '../engine/contract/hopSwap.ts';
import type { ModelRef } from '../engine/contract/model.ts';
import type { ModelSettings } from '../engine/contract/modelSettings.ts';
import type { EngineJob } from '../engine/contract/protocol.ts';
import type { StoredSweepSettings, SwapSweepJob, SweepBaseline } from '../engine/contract/swapSweep.ts';
import { notFound } from '../errors.ts';

/** How a model is trained, and at which steps it is kept. */
type StoredModelSettings = ModelSettings & { keepSteps?: number[] };

/** What the engine needs to do the run, which was validated before it was queued. */
export async function loadJob(db: Executor, store: ArtifactStore, run: Run): Promise<EngineJob> {
  const dataset = await loadEngineDataset(db, run.datasetId);
  if (run.kind === 'MODEL') {
    const { keepSteps, ...settings } = run.settings as unknown as StoredModelSettings;
    const initial = run.initialModelId ? await loadModelRef(db, store, run.initialModelId) : undefined;
    return { kind: 'MODEL', settings, dataset, keepSteps, initial };
  }
  const model = await loadModelRef(db, store, run.modelId!);
  if (run.kind === 'SWAP_SWEEP') return loadSweep(db, store, run, { model, dataset });
  if (run.kind === 'CHECKPOINT_ANALYSIS')
    return { kind: run.kind, settings: run.settings as unknown as GrokSettings, model, dataset };
  if (run.kind === 'HOP_SWAP') return loadHopSwap(db, store, run, { model, dataset });
  if (run.kind === 'BASELINE')
    return { kind: 'BASELINE', settings: run.settings as unknown as BaselineSettings, model, dataset };
  return { kind: 'ALIGNMENT', settings: run.settings as unknown as AlignmentSettings, model, dataset };
}

/**
 * A stored model as the engine reads it.
 * @throws AppError NOT_FOUND; UNAVAILABLE when its file is not in the store, or damaged.
 */
export async function loadModelRef(db: Executor, store: ArtifactStore, modelId: string): Promise<ModelRef> {
  const [model] = await db.select().from(models).where(eq(models.id, modelId));
  if (!model) throw notFound('Model', modelId);
  const { name, config, tokenizer, artifactHash } = model;
  const weights = await store.path(artifactHash, `model "${name}"`);
  return { weights, config, tokenizer };
}

async function loadSweep(
  db: Executor,
  store: ArtifactStore,
  run: Run,
  studied: Pick<SwapSweepJob, 'model' | 'dataset'>,
): Promise<SwapSweepJob> {
  const { pairs, ...settings } = run.settings as unknown as StoredSweepSettings;
  const alignment = (await readRun(db, run.alignmentRunId!))!;
  return {
    kind: 'SWAP_SWEEP',
    ...studied,
    settings,
    pairs,
    sae: await store.path(alignment.artifactHash!, `the SAE of alignment run ${alignment.id}`),
    baseline: run.baselineRunId ? await loadBaseline(db, store, run.baselineRunId) : null,
    done: await listCellPositions(db, run.id),
  };
}

async function loadHopSwap(
  db: Executor,
  store: ArtifactStore,
  run: Run,
  studied: Pick<HopSwapJob, 'model' | 'dataset'>,
): Promise<HopSwapJob> {
  const { analysis, swaps } = run.settings as unknown as StoredHopSwapSettings;
  const hashes = run.analysisRunId && (await listHopSaeHashes(db, run.analysisRunId));
  const saes =
    hashes && (await Promise.all(hashes.map((hash) => store.path(hash, 'an SAE of the analysis'))));
  return { kind: 'HOP_SWAP', ...studied, analysis, swaps, saes: saes || null };
}

async function loadBaseline(db: Executor, store: ArtifactStore, runId: string): Promise<SweepBaseline> {
  const baseline = (await readRun(db, runId))!;
  const [latents] = await conceptLatentsOfRuns(db, [runId]);
  return {
    sae: await store.path(baseline.artifactHash!, `the SAE of baseline run ${runId}`),
    latents: latents!,
  };
}
