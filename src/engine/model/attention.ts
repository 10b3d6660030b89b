/**
 * Causal attention of all heads together, from the projected queries, keys and values: one op of the addon's kernels
 * each way, or elsewhere plain ops. Shape letters as in `decoder.ts`.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Rotary } from '../contract/modelDecoder.ts';
import { attribute, hasKernels, type OpAttribute, rawOp, rawOps } from '../native/rawOps.ts';
import { gatherRows } from '../ops.ts';
import { softCap } from './layers.ts';
import { type Turns, turnsAt } from './rotary.ts';

/** What one block keeps of earlier tokens; sequences are axis 0 of each tensor. Only `attend` knows what is in it. */
export type KeyValues = readonly tf.Tensor[];

/** The heads of one block and what they may do. */
export interface Heads {
  nHeads: number;
  nKeyValueHeads: number;
  /** What scores are multiplied by. */
  scale: number;
  /** Scores are `cap · tanh(score / cap)`. */
  cap: number | null;
  /** A token sees this many, itself among them; null: all before it. */
  window: number | null;
}

/** Tokens that all sequences of a batch stand behind, run once. */
export interface SharedPrefix {
  tokens: readonly number[];
  /** By block, what `sharedKeyValues` made of theirs. */
  keyValues: readonly KeyValues[];
}

/** Which tokens are there and what they may look at; made once for all blocks, within the `tidy` of the run. */
export interface Sight {
  B: number;
  T: number;
  /** What stands before all of these tokens; lengths and masks leave it out. */
  prefix: SharedPrefix | null;
  /** The position of every row, `[B·T]` int32; null: each sequence's tokens stand at `first` … `first` + T − 1. */
  places: (() => tf.Tensor1D) | null;
  /** Position of the first token behind the prefix. */
  first: number;
  /** Where each sequence's rows end, `[B]` int32, the first beginning with row 0; any behind the last belong to none. */
  ends(): tf.Tensor1D;
  /** Where rows stand that are not B · T. */
  grid: (() => Grid) | null;
  /** The prompts' lengths, `[B]` int32, where one new token of each sees them. */
  lengths(): tf.Tensor1D;
  /** What is added to scores, 0 or −1e9; broadcasts to `[B, H, T, P + T]`. */
  mask(window: number | null): tf.Tensor;
  /** The same for the P tokens of the prefix, which only a window hides; broadcasts to `[B, H, T, P]`. */
  prefixMask(window: number): tf.Tensor;
  /** Of rotary positions, by row, again and again: of `first` … `first` + T − 1, or of `places`. */
  turns(rotary: Rotary): Turns;
  /** All that was made so far: a `tidy` in which some of it may have been made hands it on to the one around it. */
  made(): readonly tf.TensorContainer[];
}

/** How N rows of sequences of different lengths stand in `[B, T]`, of which those behind a sequence hold others' rows. */
interface Grid {
  /** The row at each place of the grid, `[B·T]` int32. */
  rows: tf.Tensor1D;
  /** The place of each row, `[N]` int32. */
  slots: tf.Tensor1D;
}

/** Every token sees itself and those before it; padding stands at the right, so nothing real sees it. */
export function causalSight(B: number, T: number, prefix: SharedPrefix | null = null): Sight {
  const first = prefix?.tokens.length ?? 0;
  const positions = Array.from({ length: T }, (_, t) => first + t);
  const { once, made } = createMemory();
  const ends = once(() => tf.range(T, B * T + 1, T, 'int32'));
  return {
    ...{ B, T, prefix, places: null, first, made, grid: null },
    ends: () => ends(null),
    lengths: () => tf.fill<tf.Rank.R1>([B], T, 'int32'),
    mask: once((window) => causalMask(T, window)),
    prefixMask: once((window) => windowMask(positions, first, window, [T, first])),
    turns: once((rotary) => turnsAt(rotary, positions)),
  };
}

/**
 * Sequences one behind the other, without padding between them: `places [N]` are their tokens' positions, all below T, and
 * `ends [B]` where each ends, both int32. Every token sees itself and those before it of its own sequence. Rows behind the
 * last sequence are of none, and finite.
 */
export function packedSight(places: tf.Tensor1D, ends: tf.Tensor1D, T: number): Sight {
  const [[N], [B]] = [places.shape, ends.shape];
  const { once, made } = createMemory();
  const grid = once(() => gridOf(places, ends, T));
  return {
    ...{ B, T, prefix: null, places: () => places, first: 0, made },
    ...{ ends: () => ends, grid: () => grid(null) },
    lengths: () => tf.fill<tf.Rank.R1>([N], 1, 'int32'),
    mask: once((window) => causalMask(T, window)),
    prefixMask: () => tf.zeros([T, 0]),
    turns: once((rotary) => {
      const { cos, sin } = turnsAt(rotary, [...Array(T).keys()]);
      return { cos: gatherRows(cos, places), sin: gatherRows(sin, places) };
    }),
  };
}

function gridOf(places: tf.Tensor1D, ends: tf.Tensor1D, T: number): Grid {
  const [[N], [B]] = [places.shape, ends.shape];
  const int = (value: number) => tf.scalar(value, 'int32');
  const starts = tf.concat1d([tf.zeros([1], 'int32'), tf.slice1d(ends, 0, B - 1)]);
  const rows = tf.add(tf.expandDims(starts, 1), tf.range(0, T, 1, 'int32')); // [B, T]
  const isBehind = tf.greaterEqual(tf.range(0, N, 1, 'int32').expandDims(1), ends); // [N, B]
  const sequences = tf.minimum(tf.sum(tf.cast(isBehind, 'int32'), 1), int(B - 1));
  return {
    rows: tf.minimum(tf.reshape(rows, [B * T]), int(N - 1)) as tf.Tensor1D,
    slots: tf.add(tf.mul(sequences, int(T)), places) as tf.Tensor1D,
  };
}

/**
 * One new token of each sequence, at its own position below `nCtx` (which counts from behind the prefix), sees its prompt
 * without the padding, and the `made` tokens since.
 */
export function cachedSight(
  lengths: readonly number[],
  width: number,
  made: number,
  nCtx: number,
  prefix: SharedPrefix | null = null,
): Sight {
  const first = prefix?.tokens.length ?? 0;
  const places = lengths.map((length) => first + Math.min(length + made, nCtx - 1)); // full rows idle
  const B = lengths.length;
  const memory = createMemory();
  const { once } = memory;
  const counts = once(() => tf.tensor1d(lengths as number[], 'int32'));
  return {
    ...{ B, T: 1, prefix, places: () => tf.tensor1d(places, 'int32'), first, made: memory.made },
    ...{ ends: () => tf.range(1, B + 1, 1, 'int32'), grid: null },
    lengths: () => counts(null),
    mask: once((window) => cachedMask(lengths, width, made, window)),
    prefixMask: once((window) => windowMask(places, first, window, [lengths.length, 1, 1, first])),
    turns: once((rotary) => turnsAt(rotary, places)),
  };
}

/** Remembers what functions made of each argument. */
function createMemory() {
  const all: tf.TensorContainer[] = [];
  return {
    made: () => all,
    once<A, R>(make: (argument: A) => R): (argument: A) => R {
      const made = new Map<A, R>();
      return (argument) => {
        const known = made.get(argument);
        if (known) return known;
        const fresh = make(argument);
        made.set(argument, fresh);
        all.push(fresh as tf.TensorContainer);
        return fresh;
      };
    },
  };
}

/**
 * `qkv [B·T, (H + 2G)·D]` → `mixed [B·T, H·D]`, what the heads read, and what later tokens need, if it is to be kept:
 * with the kernels `[B, P, 2G·D]`, keys beside values, of the prompts and of the tokens since. `shared` is what the block
 * keeps of the sight's prefix.
 */
export function attend(
  qkv: tf.Tensor2D,
  heads: Heads,
  sight: Sight,
  past?: KeyValues,
  keeps = true,
  shared?: KeyValues,
): { mixed: tf.Tensor2D; present: KeyValues } {
  if (shared) return plainAttention(qkv, heads, sight, past, shared);
  if (!hasKernels() || heads.cap !== null) return plainAttention(qkv, heads, sight, past);
  if (past) {
    const inputs = [qkv, ...past, sight.lengths()];
    const [mixed, made] = rawOps('AlignsaeDecodeAttention', attributesOf(heads), inputs, 2) as [
      tf.Tensor2D,
      tf.Tensor,
    ];
    return { mixed, present: [past[0]!, made] };
  }
  const { B, T } = sight;
  const mixed = causalAttention(qkv, heads, sight.ends());
  if (!keeps) return { mixed, present: [] };
  const { nHeads: H, nKeyValueHeads: G } = heads;
  const width = (2 * G * qkv.shape[1]) / (H + 2 * G);
  const kept = tf.slice2d(qkv, [0, qkv.shape[1] - width], [B * T, width]);
  return { mixed, present: [tf.reshape(kept, [B, T, width]), tf.zeros([B, 0, width])] };
}

/** What `attend` keeps of prompts, padded by so many tokens at the right, before any token was fed since. */
export function widenKeyValues([first, second]: KeyValues, by: number): KeyValues {
  const pad = (part: tf.Tensor, axis: number) =>
    tf.pad(
      part,
      part.shape.map((_, i) => [0, i === axis ? by : 0]),
    );
  if (by === 0) return [first!, second!];
  return first!.rank === 4 ? [pad(first!, 2), pad(second!, 2)] : [pad(first!, 1), second!];
}

/** More tokens than any window. */
const ALL = 2 ** 31 - 1;

function attributesOf({ nHeads, nKeyValueHeads, scale, window }: Heads): OpAttribute[] {
  return [
    attribute.int('heads', nHeads),
    attribute.int('key_value_heads', nKeyValueHeads),
    attribute.int('window', window ?? ALL),
    attribute.float('scale', scale),
  ];
}

function causalAttention(qkv: tf.Tensor2D, heads: Heads, ends: tf.Tensor1D): tf.Tensor2D {
  const attributes = attributesOf(heads);
  const op = tf.customGrad((...args) => {
    const [qkv, save] = args as unknown as [tf.Tensor, tf.GradSaveFunc];
    const [value, logSums] = rawOps('AlignsaeAttention', attributes, [qkv, ends], 2) as [
      tf.Tensor,
      tf.Tensor,
    ];
    save([qkv, logSums, ends]);
    const gradFunc = (dy: tf.Tensor, saved: tf.Tensor[]) =>
      rawOp('AlignsaeAttentionGradient', attributes, [dy, ...saved]);
    return { value, gradFunc };
  });
  return op(qkv) as tf.Tensor2D;
}

/**
 * What `attend` keeps of one sequence of `length` tokens as keys and values `[G, P, D]` that any number of sequences
 * may stand behind.
 */
export function sharedKeyValues(present: KeyValues, { nKeyValueHeads }: Heads): KeyValues {
  const [first, second] = present as [tf.Tensor, tf.Tensor];
  if (first.rank === 4) return [tf.squeeze(first, [0]), tf.squeeze(second, [0])];
  const [, P, width] = first.shape as [number, number, number]; // the kernels keep keys beside values
  const parts = tf.split(tf.reshape(first, [P, width]), 2, 1);
  return parts.map((part) => tf.transpose(tf.reshape(part, [P, nKeyValueHeads, -1]), [1, 0, 2]));
}

function plainAttention(
  given: tf.Tensor2D,
  { nHeads: H, nKeyValueHeads: G, scale, cap, window }: Heads,
  { B, T, mask, prefixMask, grid }: Sight,
  past?: KeyValues,
  shared?: KeyValues,
): { mixed: tf.Tensor2D; present: KeyValues } {
  const qkv = grid ? gatherRows(given, grid().rows) : given;
  const D = qkv.shape[1] / (H + 2 * G);
  // [B·T, n·D] → [B, n, T, D]; each part by itself, for wasm has no fast transpose of more than four axes
  const heads = (part: tf.Tensor) =>
    tf.transpose(tf.reshape(part, [B, T, -1, D]) as tf.Tensor4D, [0, 2, 1, 3]);
  const parts = tf.split(qkv, [H * D, G * D, G * D], 1);
  const [q, kNew, vNew] = parts.map(heads) as [tf.Tensor4D, tf.Tensor4D, tf.Tensor4D];
  const [kPast, vPast] = (past ?? []) as tf.Tensor4D[];
  const k = kPast ? tf.concat([kPast, kNew], 2) : kNew; // [B, G, P + T, D]
  const v = vPast ? tf.concat([vPast, vNew], 2) : vNew; // [B, G, P + T, D]
  // The queries of all heads that share keys stand below one another.
  const grouped = (x: tf.Tensor) => (H === G ? x : tf.reshape(x, [B, G, (H / G) * T, -1])) as tf.Tensor4D;
  const each = (x: tf.Tensor) => (H === G ? x : tf.reshape(x, [B, H, T, -1])) as tf.Tensor4D;
  const scores = softCap(tf.mul(each(tf.matMul(grouped(q), k, false, true)), scale), cap); // [B, H, T, P + T]
  const own = tf.add(scores, mask(window)) as tf.Tensor4D;
  const read = shared ? readBoth(q, own, v) : each(tf.matMul(grouped(tf.softmax(own)), v)); // [B, H, T, D]
  const mixed = tf.reshape(tf.transpose(read, [0, 2, 1, 3]), [B * T, H * D]) as tf.Tensor2D;
  return { mixed: grid ? gatherRows(mixed, grid().slots) : mixed, present: [k, v] };

  /** One softmax over the prefix's keys and the sequence's own. The prefix meets the queries of all sequences at once. */
  function readBoth(q: tf.Tensor4D, own: tf.Tensor4D, v: tf.Tensor4D): tf.Tensor4D {
    const [kShared, vShared] = shared as [tf.Tensor3D, tf.Tensor3D]; // [G, P, D]
    const together = (x: tf.Tensor) =>
      tf.reshape(tf.transpose(grouped(x), [1, 0, 2, 3]), [G, (B * H * T) / G, -1]);
    const apart = (x: tf.Tensor) => each(tf.transpose(tf.reshape(x, [G, B, (H / G) * T, -1]), [1, 0, 2, 3]));
    const scores = softCap(tf.mul(apart(tf.matMul(together(q), kShared, false, true)), scale), cap);
    const before = window === null ? scores : tf.add(scores, prefixMask(window)); // [B, H, T, prefix]
    const pattern = tf.softmax(tf.concat([before, own], 3));
    const widths = [before.shape[3]!, own.shape[3]!];
    const [toShared, toOwn] = tf.split(pattern, widths, 3) as [tf.Tensor4D, tf.Tensor4D];
    return tf.add(apart(tf.matMul(together(toShared), vShared)), each(tf.matMul(grouped(toOwn), v)));
  }
}

/** −1e9 where a token at one of `places` is `window` or more behind one of the first `P` tokens. */
function windowMask(places: readonly number[], P: number, window: number, shape: number[]): tf.Tensor {
  const mask = new Float32Array(places.length * P);
  places.forEach((place, i) => {
    mask.fill(-1e9, i * P, i * P + Math.min(P, Math.max(0, place - window + 1)));
  });
  return tf.tensor(mask, shape);
}

/** `[T, T]`: 0 where a token may look (itself and before, within its window), −1e9 where it may not. */
function causalMask(T: number, window: number | null): tf.Tensor2D {
  const index = tf.range(0, T, 1, 'float32');
  const [key, query] = [tf.expandDims(index, 0), tf.expandDims(index, 1)];
  const ahead = tf.greater(key, query); // [query, key]
  const hidden = window === null ? ahead : tf.logicalOr(ahead, tf.greaterEqual(tf.sub(query, key), window));
  return tf.mul(tf.cast(hidden, 'float32'), -1e9) as tf.Tensor2D;
}

/** `[B, 1, 1, total]`: −1e9 from a prompt's end to the width that prompts are padded to, and before the window. */
function cachedMask(
  lengths: readonly number[],
  width: number,
  made: number,
  window: number | null,
): tf.Tensor4D {
  const total = width + made + 1;
  const mask = new Float32Array(lengths.length * total);
  lengths.forEach((length, i) => {
    const row = mask.subarray(i * total, (i + 1) * total);
    row.fill(-1e9, length, width);
    if (window === null) return;
    const unseen = Math.max(0, length + made + 1 - window); // tokens before the window
    row.fill(-1e9, 0, Math.min(length, unseen));
    row.fill(-1e9, width, width + Math.max(0, unseen - length));
  });
  return tf.tensor4d(mask, [lengths.length, 1, 1, total]);
}
