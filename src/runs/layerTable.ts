/**
 * What the parts of an alignment sweep have measured, by what it varies: tables ready to plot, also while it goes on. A row
 * is one part's, or, without a part, of all seeds of a point together.
 */
import { and, asc, eq } from 'drizzle-orm';
import type { Executor } from '../db/client.ts';
import { settingsOf } from '../db/queries/runOf.ts';
import type { Run } from '../db/queries/runs.ts';
import { runs, splitMeasures, swapMeasures } from '../db/tables/index.ts';
import type { SwapMeasure as MeasuredSwap } from '../engine/contract/alignment.ts';
import type { Split } from '../engine/contract/dataset.ts';
import type { Share } from '../stats.ts';
import type { SettingValue } from './settingValues.ts';
import { valuesAt } from './sweepAxes.ts';

interface LayerRow {
  layer: number;
  /** What else the sweep varies, as JSON; empty without axes. */
  settings: Omit<SettingValue, 'fallback'>[];
  /** Null: over the seeds. */
  part: Run | null;
  /** How many parts are behind it. */
  parts: number;
  rate: Share;
  /** Sample standard deviation of the parts' shares; null with fewer than two. */
  deviation: number | null;
}

export type LayerBinding = LayerRow;

export interface LayerSwaps extends LayerRow {
  /** The alpha chosen on validation; null over seeds that chose different ones. */
  alpha: number | null;
  /** The same swaps with random latents; null where they were not measured. */
  random: Share | null;
}

export interface LayerAlpha extends LayerRow {
  alpha: number;
}

type Asked = Pick<MeasuredSwap, 'population' | 'split'>;

/** Binding on a split: by point, layer and seed, and behind each layer's seeds the layer as a whole. */
export async function bindingByLayer(db: Executor, sweep: Run, split: Split): Promise<LayerBinding[]> {
  const rows = await db
    .select({ part: runs, accuracy: splitMeasures.accuracy, examples: splitMeasures.examples })
    .from(runs)
    .innerJoin(splitMeasures, eq(splitMeasures.runId, runs.id))
    .where(and(eq(runs.parentId, sweep.id), eq(splitMeasures.split, split)))
    .orderBy(asc(runs.id));
  const binding = rows.map(({ part, accuracy, examples }) => ({
    ...rowOf(sweep, part),
    rate: { successes: Math.round(accuracy * examples), trials: examples },
  }));
  return grouped(binding).flatMap((layer) => [...layer, overSeeds(layer)]);
}

/** Success of swaps at the alpha that each part chose on validation, in the same order. */
export async function swapsByLayer(db: Executor, sweep: Run, asked: Asked): Promise<LayerSwaps[]> {
  const rows = (await readSwaps(db, sweep, asked)).filter(({ swap }) => swap.chosen);
  const randomOf = new Map(
    rows.filter(({ swap }) => swap.control === 'RANDOM_LATENT').map(({ part, swap }) => [part.id, swap]),
  );
  const swaps = rows
    .filter(({ swap }) => swap.control === 'CONCEPT')
    .map(({ part, swap }) => ({
      ...rowOf(sweep, part),
      alpha: swap.alpha,
      rate: shareOf(swap),
      random: shareOf(randomOf.get(part.id)),
    }));
  return grouped(swaps).flatMap((layer) => [
    ...layer,
    {
      ...overSeeds(layer),
      alpha: layer.every(({ alpha }) => alpha === layer[0]!.alpha) ? layer[0]!.alpha : null,
      random: pool(layer.flatMap(({ random }) => random ?? [])),
    },
  ]);
}

/** Success of swaps at every alpha that was measured there, in the same order, alpha by alpha within a layer. */
export async function swapsByAlpha(db: Executor, sweep: Run, asked: Asked): Promise<LayerAlpha[]> {
  const swaps = (await readSwaps(db, sweep, asked))
    .filter(({ swap }) => swap.control === 'CONCEPT')
    .map(({ part, swap }) => ({ ...rowOf(sweep, part), alpha: swap.alpha, rate: shareOf(swap) }));
  return grouped(swaps)
    .flatMap((layer) => byAlpha(layer))
    .flatMap((cell) => [...cell, { ...overSeeds(cell), alpha: cell[0]!.alpha }]);
}

/** Of all controls and alphas, in the order of work. */
function readSwaps(db: Executor, sweep: Run, { population, split }: Asked) {
  return db
    .select({ part: runs, swap: swapMeasures })
    .from(runs)
    .innerJoin(swapMeasures, eq(swapMeasures.runId, runs.id))
    .where(
      and(
        eq(runs.parentId, sweep.id),
        eq(swapMeasures.population, population),
        eq(swapMeasures.split, split),
      ),
    )
    .orderBy(asc(runs.id));
}

function rowOf(sweep: Run, part: Run) {
  const settings = settingsOf(part, 'ALIGNMENT');
  const paths = settingsOf(sweep, 'ALIGNMENT_SWEEP').axes?.paths ?? [];
  return {
    ...{ layer: settings.layer, settings: valuesAt(settings, paths) },
    ...{ part, parts: 1, deviation: null },
  };
}

function shareOf<T extends Share | undefined>(measured: T): T extends Share ? Share : null;
function shareOf(measured: Share | undefined): Share | null {
  return measured ? { successes: measured.successes, trials: measured.trials } : null;
}

/** Rows of one point and layer each: points in the order of work, layers and seeds sorted. */
function grouped<Row extends Pick<LayerRow, 'layer' | 'settings'> & { part: Run }>(
  rows: readonly Row[],
): Row[][] {
  const points = [...new Set(rows.map(pointOf))];
  return points.flatMap((point) => {
    const own = rows.filter((row) => pointOf(row) === point);
    const layers = [...new Set(own.map(({ layer }) => layer))].sort((a, b) => a - b);
    return layers.map((layer) =>
      own.filter((row) => row.layer === layer).sort((a, b) => a.part.seed - b.part.seed),
    );
  });
}

function pointOf({ settings }: Pick<LayerRow, 'settings'>): string {
  return JSON.stringify(settings);
}

function byAlpha<Row extends { alpha: number }>(rows: readonly Row[]): Row[][] {
  const alphas = [...new Set(rows.map(({ alpha }) => alpha))].sort((a, b) => a - b);
  return alphas.map((alpha) => rows.filter((row) => row.alpha === alpha));
}

function overSeeds(rows: readonly LayerRow[]): LayerRow {
  const shares = rows.flatMap(({ rate: { successes, trials } }) => (trials === 0 ? [] : successes / trials));
  return {
    layer: rows[0]!.layer,
    settings: rows[0]!.settings,
    part: null,
    parts: rows.length,
    rate: pool(rows.map(({ rate }) => rate))!,
    deviation: deviationOf(shares),
  };
}

function pool(shares: readonly Share[]): Share | null {
  if (shares.length === 0) return null;
  const sum = (key: keyof Share) => shares.reduce((total, share) => total + share[key], 0);
  return { successes: sum('successes'), trials: sum('trials') };
}

/** Sample standard deviation; null of fewer than two. */
function deviationOf(values: readonly number[]): number | null {
  if (values.length < 2) return null;
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1));
}
