/** Stores what a job returned, in one transaction with the end of its run. */
import { asc, eq } from 'drizzle-orm';
import type { ArtifactStore } from '../db/artifactStore.ts';
import type { Db, Executor } from '../db/client.ts';
import { storeArtifact } from '../db/queries/artifacts.ts';
import type { Claim } from '../db/queries/events.ts';
import { storePoint } from '../db/queries/grokking.ts';
import { insertHopSaes } from '../db/queries/hopSaes.ts';
import { finishRun, type Run } from '../db/queries/runs.ts';
import {
  conceptLatents,
  concepts,
  datasets,
  faithfulness,
  hopSwaps,
  models,
  slots,
  splitMeasures,
  swapMeasures,
} from '../db/tables/index.ts';
import type { AlignmentResult, BaselineResult } from '../engine/contract/alignment.ts';
import type { CheckpointAnalysisResult } from '../engine/contract/analysis.ts';
import type { HopSwapResult } from '../engine/contract/hopSwap.ts';
import type { ModelResult } from '../engine/contract/model.ts';
import type { EngineResult } from '../engine/contract/protocol.ts';
import type { WrittenFile } from '../engine/contract/writtenFile.ts';
import { RunLost } from './writer.ts';

/** Takes the weights into the store, writes the rows and ends the run. @throws RunLost if the claim is void. */
export async function storeResult(
  db: Db,
  store: ArtifactStore,
  run: Run,
  result: EngineResult,
): Promise<void> {
  const claim: Claim = { runId: run.id, attempt: run.attempt };
  await db.transaction(async (tx) => {
    const kind = result.kind === 'MODEL' ? 'MODEL' : 'SAE';
    const hashes = [];
    for (const weights of weightsOf(result)) hashes.push(await storeArtifact(tx, store, weights, kind));
    if ('saes' in result) await insertHopSaes(tx, run.id, hashes);
    // What has an SAE for each hop has no one file to be known by.
    const artifactHash = hashes.length === 1 ? hashes[0]! : null;
    const outcome = await storeOutcome(tx, run, result, artifactHash);
    if (!(await finishRun(tx, claim, { ...outcome, artifactHash: artifactHash ?? undefined })))
      throw new RunLost(claim);
  });
}

function weightsOf(result: EngineResult): readonly WrittenFile[] {
  if ('saes' in result) return result.saes;
  return 'weights' in result ? [result.weights] : [];
}

function storeOutcome(tx: Executor, run: Run, result: EngineResult, artifactHash: string | null) {
  switch (result.kind) {
    case 'MODEL':
      return storeModel(tx, run, result, artifactHash!);
    case 'ALIGNMENT':
      return storeAlignment(tx, run, result);
    case 'BASELINE':
      return storeBaseline(tx, run, result);
    case 'CHECKPOINT_ANALYSIS':
      return storeAnalysis(tx, run, result);
    case 'HOP_SWAP':
      return storeHopSwaps(tx, run, result);
    case 'SWAP_SWEEP': {
      // Its cells are stored; what is left is how fast it went.
      const { edits, seconds } = result;
      return { result: { edits, seconds } };
    }
  }
}

async function storeModel(tx: Executor, run: Run, result: ModelResult, artifactHash: string) {
  const { config, tokenizer, nParams, finalLoss, accuracy } = result;
  const [dataset] = await tx.select().from(datasets).where(eq(datasets.id, run.datasetId));
  const [initial] = run.initialModelId
    ? await tx.select({ name: models.name }).from(models).where(eq(models.id, run.initialModelId))
    : [];
  const made = initial
    ? `${initial.name} on ${dataset!.name}`
    : `${dataset!.name}, ${config.nLayers} × ${config.dModel}`;
  const [model] = await tx
    .insert(models)
    .values({
      name: `${made}, seed ${run.seed}`,
      datasetId: run.datasetId,
      config: { ...config },
      tokenizer,
      nParams,
      accuracy,
      artifactHash,
    })
    .returning({ id: models.id });
  return { modelId: model!.id, result: { finalLoss, accuracy, nParams } };
}

async function storeAlignment(tx: Executor, run: Run, result: AlignmentResult) {
  const { swaps, chosenAlpha, bestStep, dModel } = result;
  const conceptIds = await readConceptIds(tx, run.datasetId);
  const runId = run.id;
  await storeMeasures(tx, runId, conceptIds, result);
  await tx
    .insert(slots)
    .values(
      result.slots.map(({ concept, ...slot }) => ({ ...slot, runId, conceptId: conceptIds[concept]! })),
    );
  if (swaps.length > 0)
    await tx
      .insert(swapMeasures)
      .values(swaps.map((swap) => ({ ...swap, runId, chosen: swap.alpha === chosenAlpha })));
  return { result: { bestStep, dModel, chosenAlpha } };
}

async function storeBaseline(tx: Executor, run: Run, result: BaselineResult) {
  await storeMeasures(tx, run.id, await readConceptIds(tx, run.datasetId), result);
  return { result: { dModel: result.dModel } };
}

async function storeAnalysis(tx: Executor, run: Run, { point }: CheckpointAnalysisResult) {
  const { train, heldOut, oneHop, hops, ...values } = point;
  const counts = {
    ...{ trainQuestions: train.questions, trainCorrect: train.correct },
    ...{ heldOutQuestions: heldOut.questions, heldOutCorrect: heldOut.correct },
    ...{ oneHopQuestions: oneHop?.questions, oneHopCorrect: oneHop?.correct },
  };
  const bindings = hops.map((hop) => ({ ...hop, directions: hop.directions.flat() }));
  await storePoint(tx, run, { ...values, ...counts, at: new Date() }, bindings);
  return {};
}

async function storeHopSwaps(tx: Executor, run: Run, { measures }: HopSwapResult) {
  const rows = measures.map(({ shown, withheld, isolation, ...measure }, position) => ({
    ...{ ...measure, position, runId: run.id },
    ...{ shownTrials: shown.trials, shownSuccesses: shown.successes },
    ...{ withheldTrials: withheld.trials, withheldSuccesses: withheld.successes },
    ...{ otherQuestions: isolation.questions, otherQuestionsKept: isolation.kept },
  }));
  await tx.insert(hopSwaps).values(rows);
  return {};
}

/** What is measured of every SAE. */
async function storeMeasures(
  tx: Executor,
  runId: string,
  conceptIds: readonly string[],
  result: Pick<BaselineResult, 'measures' | 'conceptLatents' | 'faithfulness'>,
): Promise<void> {
  const latents = result.conceptLatents.map(({ concept, ...latent }) => ({
    ...{ ...latent, runId },
    conceptId: conceptIds[concept]!,
  }));
  const measures = result.measures.map((measure) => ({ ...measure, runId }));
  const answers = result.faithfulness.map((measure) => ({ ...measure, runId }));
  if (measures.length > 0) await tx.insert(splitMeasures).values(measures);
  if (latents.length > 0) await tx.insert(conceptLatents).values(latents);
  if (answers.length > 0) await tx.insert(faithfulness).values(answers);
}

/** Concept ids of the dataset's ontology, by position: the engine's concept index. */
async function readConceptIds(tx: Executor, datasetId: string): Promise<string[]> {
  const rows = await tx
    .select({ id: concepts.id })
    .from(concepts)
    .innerJoin(datasets, eq(datasets.ontologyId, concepts.ontologyId))
    .where(eq(datasets.id, datasetId))
    .orderBy(asc(concepts.position));
  return rows.map(({ id }) => id);
}
