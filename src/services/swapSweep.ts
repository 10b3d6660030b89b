/** Swap sweeps: swaps over methods, alphas and pairs of concepts, beside their controls. */
import { and, desc, eq } from 'drizzle-orm';
import type { Db, Executor } from '../db/client.ts';
import { readGroups } from '../db/queries/byIds.ts';
import { type Run, readRun } from '../db/queries/runs.ts';
import type { SweepCell } from '../db/queries/sweepCells.ts';
import { runs, sweepCells } from '../db/tables/index.ts';
import type { StoredSweepSettings } from '../engine/contract/swapSweep.ts';
import {
  type SweepSettings,
  type SweepSettingsInput,
  sweepSettings,
} from '../engine/contract/swapSweepSettings.ts';
import { invalidInput, notFound, parseOrThrow } from '../errors.ts';
import { findConcept, readAlignment, readConcepts } from './alignment.ts';
import type { Concept } from './ontology.ts';
import { queueRun } from './run.ts';

export type { SweepCell } from '../db/queries/sweepCells.ts';

/** Cells that a sweep may have, and the swaps of a cell. */
const MAX_CELLS = 4096;
const MAX_PAIRS = 10_000;

export interface NewSwapSweep {
  /** The alignment whose slots are swapped. */
  runId: string;
  /** The unsupervised SAE to compare with; the newest that fits if left out. */
  baselineRunId?: string;
  /** Concepts by key or id; every ordered pair if left out. */
  pairs?: readonly { source: string; target: string }[];
  settings?: SweepSettingsInput;
}

/**
 * Queues a sweep.
 * @throws AppError NOT_FOUND for the runs; INVALID_INPUT naming what is not acceptable.
 */
export async function startSwapSweep(db: Db, input: NewSwapSweep): Promise<Run> {
  const settings = parseOrThrow(sweepSettings, input.settings ?? {}, ['settings']) as SweepSettings;
  const alignment = await readAlignment(db, input.runId, 'a swap sweep');
  const ontology = await readConcepts(db, alignment);
  const pairs = choosePairs(ontology, input.pairs);
  checkSize(settings);
  const baseline = await chooseBaseline(db, alignment, settings, input.baselineRunId);
  const stored: StoredSweepSettings = { ...settings, pairs };
  const { datasetId, datasetHash, modelId } = alignment;
  return queueRun(
    db,
    {
      ...{ kind: 'SWAP_SWEEP', settings: { ...stored }, modelId },
      ...{ alignmentRunId: alignment.id, baselineRunId: baseline?.id },
    },
    { id: datasetId, contentHash: datasetHash },
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

/** The unsupervised SAE asked for, or else the newest of the same model, dataset and layer; null where none is needed or there. */
async function chooseBaseline(
  db: Executor,
  alignment: Run,
  { controls }: SweepSettings,
  asked: string | undefined,
): Promise<Run | null> {
  if (asked === undefined) {
    if (!controls.includes('UNSUPERVISED_LATENT')) return null;
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
  if (baseline.kind !== 'BASELINE' || baseline.status !== 'SUCCEEDED')
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

function layerOf({ settings }: Run): number {
  return (settings as { layer: number }).layer;
}
