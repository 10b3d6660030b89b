/** Swap sweeps: swaps over methods, alphas and pairs of concepts, beside their controls. */
import { and, desc, eq, sql } from 'drizzle-orm';
import type { ArtifactStore } from '../db/artifactStore.ts';
import type { Executor } from '../db/client.ts';
import { readGroups } from '../db/queries/byIds.ts';
import { conceptLatentsOfRuns } from '../db/queries/conceptLatents.ts';
import { isOfKind, settingsOf } from '../db/queries/runOf.ts';
import { type Run, readRun } from '../db/queries/runs.ts';
import { listCellPositions, type SweepCell } from '../db/queries/sweepCells.ts';
import { runs, sweepCells } from '../db/tables/index.ts';
import type { SweepBaseline } from '../engine/contract/swapSweep.ts';
import {
  type SweepSettings,
  type SweepSettingsInput,
  sweepSettings,
  usesUnsupervised,
} from '../engine/contract/swapSweepSettings.ts';
import { invalidInput, notFound, parseOrThrow } from '../errors.ts';
import { readAlignment } from './alignment.ts';
import { type Concept, findConcept, readConcepts } from './concepts.ts';
import type { EngineKind, JobSource } from './kind.ts';
import { looseShares, share } from './measure.ts';
import { loadUsedSae, readSae, type Sae } from './pretrained.ts';
import { queueRun } from './start.ts';
import { checkComputes, loadStudied, readModel } from './studied.ts';
import { trials } from './sweepTrials.ts';
import {
  conceptsOf,
  knownRate,
  looseRate,
  numbers,
  type ResultTable,
  rate,
  storedIn,
  successRate,
  texts,
} from './table.ts';

export type { SweepCell } from '../db/queries/sweepCells.ts';

const CELL = { ...numbers('position'), ...texts('edited method'), ...numbers('alpha') };

const sweep: ResultTable = {
  description: 'Success and isolation by method and alpha, beside the controls.',
  key: ['position'],
  ...storedIn(sweepCells, {
    ...CELL,
    ...successRate,
    ...looseRate,
    ...knownRate,
    ...numbers('otherPrompts otherPromptsKept texts textsKept statements statementsKept'),
    ...rate('promptIsolation', 'otherPromptsKept', 'otherPrompts'),
    ...rate('textIsolation', 'textsKept', 'texts'),
    ...rate('statementIsolation', 'statementsKept', 'statements'),
  }),
  measures({ edited, method, alpha, ...row }: SweepCell) {
    const of = { edited, method, alpha };
    return [
      ...share('SWAP_SUCCESS', row.successes, row.trials, { of }),
      ...looseShares(row, { of }),
      ...share('KNOWN_SWAP_SUCCESS', row.knownSuccesses, row.knownTrials, { of }),
      ...share('PROMPT_ISOLATION', row.otherPromptsKept, row.otherPrompts, { of }),
      ...share('TEXT_ISOLATION', row.textsKept, row.texts, { of }),
      ...share('STATEMENT_ISOLATION', row.statementsKept, row.statements, { of }),
    ];
  },
};

const pairs: ResultTable = {
  description: 'Success by method, alpha, source and target concept.',
  columns: { ...CELL, ...texts('source target'), ...successRate, ...looseRate, ...knownRate },
  key: ['position', 'i'],
  rows: (runIds) => sql`
    select s.position, s.edited, s.method, s.alpha, p.i, a.key as source, b.key as target,
      (p.pair ->> 'trials')::int as trials, (p.pair ->> 'successes')::int as successes,
      (p.pair ->> 'looseSuccesses')::int as "looseSuccesses", (p.pair ->> 'categoryKept')::int as "categoryKept",
      (p.pair ->> 'knownTrials')::int as "knownTrials", (p.pair ->> 'knownSuccesses')::int as "knownSuccesses",
      coalesce((p.pair ->> 'leftOut')::int, 0) as "leftOut"
    from sweep_cells s cross join jsonb_array_elements(s.pairs) with ordinality p (pair, i)
      join ${conceptsOf(runIds)} a on a.run_id = s.run_id and a.position = (p.pair ->> 'source')::int
      join ${conceptsOf(runIds)} b on b.run_id = s.run_id and b.position = (p.pair ->> 'target')::int
    where s.run_id in ${runIds}`,
};

export const swapSweep: EngineKind<'SWAP_SWEEP'> = {
  tables: { sweep, pairs, trials },
  checkpoints: false,
  async load(source, run) {
    const { pairs, ...settings } = run.settings;
    const { db, store } = source;
    const alignment = (await readRun(db, run.alignmentRunId!))!;
    return {
      kind: 'SWAP_SWEEP',
      ...(await loadStudied(source, run)),
      settings,
      pairs,
      sae: await store.path(alignment.artifactHash!, `the SAE of alignment run ${alignment.id}`),
      baseline: await loadChosen(source, run),
      done: await listCellPositions(db, run.id),
    };
  },
  // Its cells are stored; what is left is how fast it went, and what its controls learned.
  store: async (_target, _run, { edits, seconds, probe, das }) => ({
    result: { edits, seconds, probe, das },
  }),
};

async function loadChosen(
  { db, store }: JobSource,
  { id, baselineRunId }: { id: string; baselineRunId: string | null },
): Promise<SweepBaseline | null> {
  if (baselineRunId) return loadBaseline(db, store, baselineRunId);
  const sae = await loadUsedSae({ db, store }, id);
  return sae === undefined ? null : { sae, latents: null };
}

async function loadBaseline(db: Executor, store: ArtifactStore, runId: string): Promise<SweepBaseline> {
  const baseline = (await readRun(db, runId))!;
  const [latents] = await conceptLatentsOfRuns(db, [runId]);
  const sae = await store.path(baseline.artifactHash!, `the SAE of baseline run ${runId}`);
  return { sae, latents: latents! };
}

/** Cells that a sweep may have, and the swaps of a cell. */
const MAX_CELLS = 4096;
const MAX_PAIRS = 10_000;

export interface NewSwapSweep {
  /** The alignment whose slots are swapped. */
  runId: string;
  /** The unsupervised SAE to compare with; the newest that fits if left out. */
  baselineRunId?: string;
  /** The same, imported or trained here, whatever it learned on. */
  baselineSaeId?: string;
  /** Concepts by key or id; every ordered pair if left out. */
  pairs?: readonly { source: string; target: string }[];
  settings?: SweepSettingsInput;
}

/**
 * Queues a sweep.
 * @throws AppError NOT_FOUND for the runs; INVALID_INPUT naming what is not acceptable.
 */
export async function startSwapSweep(db: Executor, input: NewSwapSweep): Promise<Run> {
  const settings = parseOrThrow(sweepSettings, input.settings ?? {}, ['settings']) as SweepSettings;
  const alignment = await readAlignment(db, input.runId, 'a swap sweep');
  checkComputes(await readModel(db, alignment.modelId!), 'a swap sweep', ['runId']);
  const ontology = await readConcepts(db, alignment);
  const pairs = choosePairs(ontology, input.pairs);
  checkSize(settings);
  const sae = input.baselineSaeId === undefined ? null : await chooseSae(db, alignment, input);
  const baseline = sae ? null : await chooseBaseline(db, alignment, settings, input.baselineRunId);
  const { id: alignmentRunId, datasetId, datasetHash, modelId } = alignment;
  return queueRun(
    db,
    {
      kind: 'SWAP_SWEEP',
      settings: { ...settings, pairs },
      modelId,
      alignmentRunId,
      baselineRunId: baseline?.id,
    },
    { id: datasetId, contentHash: datasetHash },
    sae?.id,
  );
}

/** For each sweep its cells so far, in the order of work. */
export function cellsOfRuns(db: Executor, runIds: readonly string[]): Promise<SweepCell[][]> {
  return readGroups(db, sweepCells, sweepCells.runId, runIds, [sweepCells.position]);
}

/** The cell of a sweep at this place. */
export async function readCell(db: Executor, runId: string, position: number): Promise<SweepCell> {
  const [cell] = await db
    .select()
    .from(sweepCells)
    .where(and(eq(sweepCells.runId, runId), eq(sweepCells.position, position)));
  return cell!;
}

function choosePairs(
  ontology: readonly Concept[],
  asked: NewSwapSweep['pairs'],
): { source: number; target: number }[] {
  if (!asked) {
    return ontology.flatMap(({ position: source }) =>
      ontology.flatMap(({ position: target }) => (target === source ? [] : [{ source, target }])),
    );
  }
  if (asked.length < 1 || asked.length > MAX_PAIRS)
    throw invalidInput(['pairs'], `pairs must be 1 to ${MAX_PAIRS}, got ${asked.length}`);
  const seen = new Set<string>();
  return asked.map((pair, i) => {
    const path = ['pairs', String(i)];
    const source = findConcept(ontology, pair.source, [...path, 'source']).position;
    const target = findConcept(ontology, pair.target, [...path, 'target']).position;
    if (source === target)
      throw invalidInput(
        [...path, 'target'],
        `source and target are both "${pair.target}"; name two concepts`,
      );
    if (seen.has(`${source}>${target}`))
      throw invalidInput(path, `the pair ${pair.source} → ${pair.target} is there twice`);
    seen.add(`${source}>${target}`);
    return { source, target };
  });
}

function checkSize({ methods, alphas, controls }: SweepSettings): void {
  const cells = methods.length * alphas.length * (1 + controls.length);
  if (cells <= MAX_CELLS) return;
  throw invalidInput(
    ['settings', 'alphas'],
    `methods × alphas × (1 + controls) must be at most ${MAX_CELLS}, got ${cells}`,
  );
}

/** The SAE asked for, if it can be compared with the alignment's. */
async function chooseSae(
  db: Executor,
  alignment: Run,
  { baselineSaeId, baselineRunId }: NewSwapSweep,
): Promise<Sae> {
  const refuse = (why: string) => invalidInput(['baselineSaeId'], why);
  if (baselineRunId !== undefined)
    throw refuse('baselineRunId and baselineSaeId exclude each other; give one of them');
  const sae = await readSae(db, baselineSaeId!);
  if (sae.config.nConcepts > 0) throw refuse(`the SAE "${sae.name}" has slots; an unsupervised one has none`);
  if (sae.modelId !== alignment.modelId)
    throw refuse(`the SAE "${sae.name}" reads another model than the alignment`);
  if (sae.layer !== layerOf(alignment))
    throw refuse(`the SAE "${sae.name}" reads layer ${sae.layer}, the alignment layer ${layerOf(alignment)}`);
  return sae;
}

/** The unsupervised SAE asked for, or else the newest of the same model, dataset and layer; null where none is needed or there. */
async function chooseBaseline(
  db: Executor,
  alignment: Run,
  { controls }: SweepSettings,
  asked: string | undefined,
): Promise<Run | null> {
  if (asked === undefined) {
    if (!usesUnsupervised(controls)) return null;
    const fitting = await db
      .select()
      .from(runs)
      .where(
        and(
          eq(runs.kind, 'BASELINE'),
          eq(runs.status, 'SUCCEEDED'),
          eq(runs.modelId, alignment.modelId!),
          eq(runs.datasetId, alignment.datasetId),
        ),
      )
      .orderBy(desc(runs.createdAt), desc(runs.id));
    return fitting.find((run) => layerOf(run) === layerOf(alignment)) ?? null;
  }
  const baseline = await readRun(db, asked);
  if (!baseline) throw notFound('Run', asked);
  if (!isOfKind(baseline, 'BASELINE') || baseline.status !== 'SUCCEEDED')
    throw invalidInput(
      ['baselineRunId'],
      `the baseline must be a BASELINE run that has SUCCEEDED; this is a run of kind ${baseline.kind} in status ${baseline.status}`,
    );
  for (const [what, of] of [
    ['model', (run: Run) => run.modelId],
    ['dataset', (run: Run) => run.datasetId],
    ['layer', layerOf],
  ] as const) {
    if (of(baseline) !== of(alignment))
      throw invalidInput(['baselineRunId'], `the baseline was trained on another ${what} than the alignment`);
  }
  return baseline;
}

const layerOf = (run: Run) => settingsOf(run, 'ALIGNMENT', 'BASELINE').layer;
