/** What training draws from texts: batches of the first stage, and rows without a concept of the second. */
import type { Arrays, ArrayValue } from '../contract/arrays.ts';
import type { TextUse } from '../contract/corpus.ts';
import { joinRows } from '../rows.ts';
import type { TextPosition } from '../texts/textStream.ts';

/** An endless stream of normalised rows. */
export interface TextRows {
  /** The next rows `[rows, dModel]`. */
  next(rows: number): Promise<ArrayValue>;
  position(): TextPosition;
}

export interface TrainingTexts {
  uses: readonly TextUse[];
  /** The stream of a use, from its beginning or from a position on. */
  open(use: TextUse, from?: TextPosition): TextRows;
  /** Rows like those of `SILENCE`, `[n, dModel]`, for looks at how training gets on; empty where it is no use. */
  sample: Float32Array;
}

export type TextStreams = Partial<Record<TextUse, TextRows>>;
export type TextPositions = Partial<Record<TextUse, TextPosition>>;

/** The streams of all uses, each from where it was. */
export function openStreams(texts: TrainingTexts | undefined, from: TextPositions = {}): TextStreams {
  return Object.fromEntries((texts?.uses ?? []).map((use) => [use, texts!.open(use, from[use])]));
}

/** Where the streams are; undefined where there is none. */
export function positionsOf(streams: TextStreams): TextPositions | undefined {
  const positions = Object.entries(streams).map(([use, rows]) => [use, rows.position()]);
  return positions.length > 0 ? Object.fromEntries(positions) : undefined;
}

/** How many of the silent rows of a step come from texts: half, or all where the dataset has none. */
export function silentTextRows(streams: TextStreams, silent: Float32Array | null, rows: number): number {
  if (!streams.SILENCE) return 0;
  return silent && silent.length > 0 ? Math.floor(rows / 2) : rows;
}

/** The batch with so many rows more where no concept is in play. */
export async function addSilent(batch: Arrays, texts: TextRows, rows: number): Promise<Arrays> {
  const added = await texts.next(rows);
  const before = batch.silent;
  if (!before) return { ...batch, silent: added };
  const data = joinRows([before.data as Float32Array, added.data as Float32Array]);
  return { ...batch, silent: { data, shape: [before.shape[0]! + rows, before.shape[1]!] } };
}
