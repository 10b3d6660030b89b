/** Parts of grokking runs: an SAE is trained on one checkpoint, and measured. */
import type { Executor } from '../db/client.ts';
import { listEarlier, storeLastBindings, storePoint } from '../db/queries/grokking.ts';
import { insertHopSaes } from '../db/queries/hopSaes.ts';
import { type RunOf, settingsOf } from '../db/queries/runOf.ts';
import { readRun } from '../db/queries/runs.ts';
import { insertRunSae } from '../db/queries/saes.ts';
import { ALIGNMENT_PRESETS } from '../engine/contract/alignmentPresets.ts';
import type { CheckpointAnalysisJob, GrokkingPoint } from '../engine/contract/analysis.ts';
import type { GrokSettings } from '../engine/contract/analysisSettings.ts';
import type { WrittenFile } from '../engine/contract/writtenFile.ts';
import { readConcepts } from './concepts.ts';
import type { EngineKind, JobSource, ResultTarget } from './kind.ts';
import { loadModelRef, loadSettled, readModel } from './studied.ts';

export { type HopSae, hopSaesOfRuns } from '../db/queries/hopSaes.ts';

export const checkpointAnalysis: EngineKind<'CHECKPOINT_ANALYSIS'> = {
  tables: {},
  checkpoints: false,
  async load(source, run) {
    const earlier = await loadEarlier(source, run);
    return { kind: 'CHECKPOINT_ANALYSIS', ...(await loadSettled(source, run)), earlier };
  },
  async store(target, run, { point, saes, byItsSaes }) {
    const artifactHash = await keepHopSaes(target, run, run.settings, saes);
    await storeAnalysis(target.tx, run, point);
    if (byItsSaes.length > 0) {
      const all = [...byItsSaes, { step: run.step!, hops: point.hops }];
      const rows = all.flatMap(({ step, hops }) =>
        hops.map(({ directions: _, ...hop }) => ({ ...hop, step })),
      );
      await storeLastBindings(target.tx, run.parentId!, rows);
    }
    return { artifactHash };
  },
};

/** Of the last checkpoint, where its grokking run wants them read by its SAEs too, the models of all others. */
async function loadEarlier(
  { db, store }: JobSource,
  { parentId, step }: RunOf<'CHECKPOINT_ANALYSIS'>,
): Promise<CheckpointAnalysisJob['earlier']> {
  const { steps, lastSae } = settingsOf((await readRun(db, parentId!))!, 'GROKKING');
  if (!lastSae || step !== steps.at(-1)) return [];
  const earlier = [];
  for (const { step, modelId } of await listEarlier(db, parentId!, steps.at(-1)!))
    earlier.push({ step, model: await loadModelRef(db, store, modelId) });
  return earlier;
}

function storeAnalysis(tx: Executor, run: RunOf<'CHECKPOINT_ANALYSIS'>, point: GrokkingPoint): Promise<void> {
  const { train, heldOut, oneHop, hops, ...values } = point;
  const counts = {
    trainQuestions: train.questions,
    trainCorrect: train.correct,
    heldOutQuestions: heldOut.questions,
    heldOutCorrect: heldOut.correct,
    oneHopQuestions: oneHop?.questions,
    oneHopCorrect: oneHop?.correct,
  };
  const bindings = hops.map((hop) => ({ ...hop, directions: hop.directions.flat() }));
  return storePoint(tx, run, { ...values, ...counts, at: new Date() }, bindings);
}

/** Stores the SAEs that a two-hop run trained; the hash where it is one. What has one for each hop has no one file. */
export async function keepHopSaes(
  { tx, keep }: ResultTarget,
  run: Parameters<typeof insertRunSae>[1],
  { preset, layer, nFree }: GrokSettings,
  saes: readonly WrittenFile[],
): Promise<string | undefined> {
  const hashes: string[] = [];
  for (const sae of saes) hashes.push(await keep(sae, 'SAE'));
  await insertHopSaes(tx, run.id, hashes);
  const { activation, k } = ALIGNMENT_PRESETS[preset];
  const { dModel } = (await readModel(tx, run.modelId!)).config;
  const { length: nConcepts } = await readConcepts(tx, run);
  for (const artifactHash of new Set(hashes))
    await insertRunSae(tx, run, { artifactHash, layer, config: { dModel, nFree, nConcepts, activation, k } });
  return hashes.length === 1 ? hashes[0] : undefined;
}
