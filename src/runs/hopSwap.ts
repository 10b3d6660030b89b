/** Runs that swap relations at either hop of two-hop questions. */
import { and, asc, eq, isNotNull, sql } from 'drizzle-orm';
import type { Executor } from '../db/client.ts';
import { readGroups } from '../db/queries/byIds.ts';
import { listHopSaeHashes } from '../db/queries/hopSaes.ts';
import { settingsOf } from '../db/queries/runOf.ts';
import { type Run, readRun } from '../db/queries/runs.ts';
import { hopSwaps, runs } from '../db/tables/index.ts';
import { type GrokSettingsInput, grokSettings } from '../engine/contract/analysisSettings.ts';
import { bestOf, ratioOf } from '../engine/contract/hopSwap.ts';
import {
  type HopSwapSettings,
  type HopSwapSettingsInput,
  hopSwapSettings,
} from '../engine/contract/hopSwapSettings.ts';
import { invalidInput, notFound, parseOrThrow } from '../errors.ts';
import { keepHopSaes } from './checkpointAnalysis.ts';
import type { EngineKind } from './kind.ts';
import { share } from './measure.ts';
import { queueRun } from './start.ts';
import { checkComputes, checkLayer, checkTwoHops, chooseStudied, loadStudied } from './studied.ts';
import { conceptsOf, json, numbers, type ResultTable, rate, storedIn, texts } from './table.ts';

export type HopSwap = typeof hopSwaps.$inferSelect;

const swaps: ResultTable = {
  description: 'Success and isolation at either hop by method, beside the controls, on held-out questions.',
  key: ['position'],
  ...storedIn(hopSwaps, {
    ...numbers('position hop'),
    ...texts('edited method'),
    ...numbers('alpha shownTrials shownSuccesses'),
    ...rate('shownRate', 'shownSuccesses', 'shownTrials'),
    ...numbers('withheldTrials withheldSuccesses'),
    ...rate('withheldRate', 'withheldSuccesses', 'withheldTrials'),
    ...numbers('otherQuestions otherQuestionsKept'),
    ...rate('isolation', 'otherQuestionsKept', 'otherQuestions'),
    ...json('choosing'),
  }),
  /** At the alphas that TRAIN questions chose; alpha is no detail here, so that runs can be compared. */
  measures({ hop, edited, method, alpha, ...row }: HopSwap) {
    const of = { hop, edited, method };
    const to = (pairs: string) => ({ alpha, of: { ...of, pairs } });
    return [
      ...share('SWAP_SUCCESS', row.shownSuccesses, row.shownTrials, to('SHOWN')),
      ...share('SWAP_SUCCESS', row.withheldSuccesses, row.withheldTrials, to('WITHHELD')),
      ...share('PROMPT_ISOLATION', row.otherQuestionsKept, row.otherQuestions, { alpha, of }),
    ];
  },
};

const relations: ResultTable = {
  description: 'Success at either hop by method and relation, as the source and as the target of swaps.',
  columns: {
    ...numbers('position hop'),
    ...texts('edited method'),
    ...numbers('alpha'),
    ...texts('relation side'),
    ...numbers('shownTrials shownSuccesses'),
    ...rate('shownRate', 'shownSuccesses', 'shownTrials'),
    ...numbers('withheldTrials withheldSuccesses'),
    ...rate('withheldRate', 'withheldSuccesses', 'withheldTrials'),
  },
  key: ['position', 'number', 'side'],
  rows: (runIds) => sql`
    select h.position, h.hop, h.edited, h.method, h.alpha, c.position as number, c.key as relation, s.side,
      (r.counts -> s.side #>> '{shown,trials}')::int as "shownTrials",
      (r.counts -> s.side #>> '{shown,successes}')::int as "shownSuccesses",
      (r.counts -> s.side #>> '{withheld,trials}')::int as "withheldTrials",
      (r.counts -> s.side #>> '{withheld,successes}')::int as "withheldSuccesses"
    from hop_swaps h cross join jsonb_array_elements(h.relations) r (counts)
      cross join (values ('source'), ('target')) s (side)
      join ${conceptsOf(runIds)} c on c.run_id = h.run_id and c.position = (r.counts ->> 'relation')::int
    where h.run_id in ${runIds}`,
};

export const hopSwap: EngineKind<'HOP_SWAP'> = {
  tables: { 'hop-swaps': swaps, 'hop-relations': relations },
  checkpoints: false,
  async load(source, run) {
    const { analysis, swaps } = run.settings;
    const hashes = run.analysisRunId && (await listHopSaeHashes(source.db, run.analysisRunId));
    const open = (hash: string) => source.store.path(hash, 'an SAE of the analysis');
    const saes = hashes ? await Promise.all(hashes.map(open)) : null;
    return { kind: 'HOP_SWAP', ...(await loadStudied(source, run)), analysis, swaps, saes };
  },
  async store(target, run, { measures, saes }) {
    const artifactHash = await keepHopSaes(target, run, run.settings.analysis, saes);
    const rows = measures.map(({ shown, withheld, isolation, ...measure }, position) => ({
      ...measure,
      position,
      runId: run.id,
      shownTrials: shown.trials,
      shownSuccesses: shown.successes,
      withheldTrials: withheld.trials,
      withheldSuccesses: withheld.successes,
      otherQuestions: isolation.questions,
      otherQuestionsKept: isolation.kept,
    }));
    await target.tx.insert(hopSwaps).values(rows);
    return { artifactHash };
  },
};

export interface NewHopSwapRun {
  /** A grokking run, whose SAEs at a checkpoint are edited. */
  runId?: string;
  /** The checkpoint; the last that has been analysed if left out. */
  step?: number;
  /** A model for which SAEs are to be trained. */
  modelId?: string;
  /** The questions to ask it; those it was trained on if left out. */
  datasetId?: string;
  /** How to train its SAEs. */
  analysis?: GrokSettingsInput;
  settings?: HopSwapSettingsInput;
}

/** What the slots reach at a hop beside the unsupervised SAE's best latents, on withheld pairs. */
export interface HopSwapSummary {
  hop: number;
  slots: HopSwap | null;
  unsupervised: HopSwap | null;
  ratio: number | null;
}

/**
 * Queues the swaps.
 * @throws AppError NOT_FOUND for run, model or dataset; INVALID_INPUT naming what is not acceptable.
 */
export async function startHopSwapRun(db: Executor, input: NewHopSwapRun): Promise<Run> {
  const swaps = parseOrThrow(hopSwapSettings, input.settings ?? {}, ['settings']) as HopSwapSettings;
  const { runId, modelId } = input;
  if (runId !== undefined && modelId !== undefined)
    throw invalidInput(['modelId'], 'runId and modelId exclude each other; give one of them');
  if (runId !== undefined) return startOnAnalysis(db, { ...input, runId }, swaps);
  if (modelId === undefined) throw invalidInput(['runId'], 'runId or modelId must be given');
  return startOnModel(db, { ...input, modelId }, swaps);
}

async function startOnAnalysis(
  db: Executor,
  input: NewHopSwapRun & { runId: string },
  swaps: HopSwapSettings,
): Promise<Run> {
  for (const key of ['datasetId', 'analysis'] as const)
    if (input[key] !== undefined)
      throw invalidInput([key], `${key} is for a model; a grokking run has its own, leave it out`);
  const analysisRun = await readAnalysis(db, input.runId, input.step);
  const analysis = settingsOf(analysisRun, 'CHECKPOINT_ANALYSIS');
  const { id, modelId, datasetId, datasetHash } = analysisRun;
  const settings = { seed: analysis.seed, analysis, swaps };
  return queueRun(
    db,
    { kind: 'HOP_SWAP', settings, modelId, analysisRunId: id },
    { id: datasetId, contentHash: datasetHash },
  );
}

async function startOnModel(
  db: Executor,
  input: NewHopSwapRun & { modelId: string },
  swaps: HopSwapSettings,
): Promise<Run> {
  if (input.step !== undefined)
    throw invalidInput(['step'], 'step is the checkpoint of a grokking run; a model has none, leave it out');
  const analysis = parseOrThrow(grokSettings, input.analysis ?? {}, ['analysis']);
  const { model, dataset } = await chooseStudied(db, input);
  checkComputes(model, 'a hop swap', ['modelId']);
  checkLayer(model, analysis.layer, ['analysis', 'layer']);
  await checkTwoHops(db, dataset);
  const settings = { seed: analysis.seed, analysis, swaps };
  return queueRun(db, { kind: 'HOP_SWAP', settings, modelId: model.id }, dataset);
}

/** The analysis of a checkpoint of a grokking run, with SAEs that are there. */
async function readAnalysis(db: Executor, runId: string, step: number | undefined): Promise<Run> {
  const run = await readRun(db, runId);
  if (!run) throw notFound('Run', runId);
  if (run.kind !== 'GROKKING')
    throw invalidInput(['runId'], `the run must be a GROKKING run; this is one of kind ${run.kind}`);
  const analyses = await db
    .select()
    .from(runs)
    .where(and(eq(runs.parentId, run.id), eq(runs.status, 'SUCCEEDED'), isNotNull(runs.step)))
    .orderBy(asc(runs.step));
  const analysis = step === undefined ? analyses.at(-1) : analyses.find((each) => each.step === step);
  if (!analysis) {
    const steps = analyses.map((each) => each.step).join(', ') || 'none';
    const which = step === undefined ? 'no checkpoint' : `no checkpoint at step ${step}`;
    throw invalidInput(
      [step === undefined ? 'runId' : 'step'],
      `the run has analysed ${which}; so far: ${steps}`,
    );
  }
  if ((await listHopSaeHashes(db, analysis.id)).length > 0) return analysis;
  throw invalidInput(
    ['runId'],
    'the run is of a version that did not keep an SAE for each hop; give the modelId of the checkpoint instead',
  );
}

/** For each run what it measured, in the order of work; nothing before its end. */
export function hopSwapsOfRuns(db: Executor, runIds: readonly string[]): Promise<HopSwap[][]> {
  return readGroups(db, hopSwaps, hopSwaps.runId, runIds, [hopSwaps.position]);
}

/** Hop by hop the best of slots and unsupervised latents, each by the method that did best on TRAIN questions. */
export function summarizeHops(measured: readonly HopSwap[]): HopSwapSummary[] {
  return [...new Set(measured.map(({ hop }) => hop))].map((hop) => {
    const slots = bestOf(measured, hop, 'CONCEPT');
    const unsupervised = bestOf(measured, hop, 'UNSUPERVISED_LATENT');
    const ratio = slots && unsupervised && ratioOf(withheldOf(slots), withheldOf(unsupervised));
    return { hop, slots, unsupervised, ratio };
  });
}

function withheldOf({ withheldTrials: trials, withheldSuccesses: successes }: HopSwap) {
  return { trials, successes };
}
