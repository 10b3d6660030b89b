/** What the parts of an alignment sweep have measured, layer by layer: tables ready to plot, also while it goes on. */
import { and, eq } from 'drizzle-orm';
import type { Executor } from '../db/client.ts';
import { settingsOf } from '../db/queries/runOf.ts';
import type { Run } from '../db/queries/runs.ts';
import { runs, splitMeasures, swapMeasures } from '../db/tables/index.ts';
import type { SwapMeasure as MeasuredSwap } from '../engine/contract/alignment.ts';
import type { Split } from '../engine/contract/dataset.ts';
import type { Share } from '../stats.ts';

/** One part's figure, or, without a part, all seeds of a layer together. */
interface LayerRow {
  layer: number;
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

/** Binding on a split: by layer and seed, and behind each layer's seeds the layer as a whole. */
export async function bindingByLayer(db: Executor, sweepId: string, split: Split): Promise<LayerBinding[]> {
  const rows = await db
    .select({ part: runs, accuracy: splitMeasures.accuracy, examples: splitMeasures.examples })
    .from(runs)
    .innerJoin(splitMeasures, eq(splitMeasures.runId, runs.id))
    .where(and(eq(runs.parentId, sweepId), eq(splitMeasures.split, split)));
  const binding = rows.map(({ part, accuracy, examples }) => ({
    ...rowOf(part),
    rate: { successes: Math.round(accuracy * examples), trials: examples },
  }));
  return byLayer(binding).flatMap((layer) => [...layer, overSeeds(layer)]);
}

/** Success of swaps at the alpha that each part chose on validation, in the same order. */
export async function swapsByLayer(
  db: Executor,
  sweepId: string,
  { population, split }: Pick<MeasuredSwap, 'population' | 'split'>,
): Promise<LayerSwaps[]> {
  const rows = await db
    .select({ part: runs, swap: swapMeasures })
    .from(runs)
    .innerJoin(swapMeasures, eq(swapMeasures.runId, runs.id))
    .where(
      and(
        eq(runs.parentId, sweepId),
        eq(swapMeasures.chosen, true),
        eq(swapMeasures.population, population),
        eq(swapMeasures.split, split),
      ),
    );
  const randomOf = new Map(
    rows.filter(({ swap }) => swap.control === 'RANDOM_LATENT').map(({ part, swap }) => [part.id, swap]),
  );
  const swaps = rows
    .filter(({ swap }) => swap.control === 'CONCEPT')
    .map(({ part, swap }) => ({
      ...rowOf(part),
      alpha: swap.alpha,
      rate: shareOf(swap),
      random: shareOf(randomOf.get(part.id)),
    }));
  return byLayer(swaps).flatMap((layer) => [
    ...layer,
    {
      ...overSeeds(layer),
      alpha: layer.every(({ alpha }) => alpha === layer[0]!.alpha) ? layer[0]!.alpha : null,
      random: pool(layer.flatMap(({ random }) => random ?? [])),
    },
  ]);
}

function rowOf(part: Run) {
  return { layer: settingsOf(part, 'ALIGNMENT').layer, part, parts: 1, deviation: null };
}

function shareOf<T extends Share | undefined>(measured: T): T extends Share ? Share : null;
function shareOf(measured: Share | undefined): Share | null {
  return measured ? { successes: measured.successes, trials: measured.trials } : null;
}

/** Rows of one layer each, both sorted. */
function byLayer<Row extends { layer: number; part: Run }>(rows: readonly Row[]): Row[][] {
  const layers = [...new Set(rows.map(({ layer }) => layer))].sort((a, b) => a - b);
  return layers.map((layer) =>
    rows.filter((row) => row.layer === layer).sort((a, b) => a.part.seed - b.part.seed),
  );
}

function overSeeds(rows: readonly LayerRow[]): LayerRow {
  const shares = rows.flatMap(({ rate: { successes, trials } }) => (trials === 0 ? [] : successes / trials));
  return {
    layer: rows[0]!.layer,
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
