/** Sequences of a batch without padding between them, in few shapes. */
import type { Arrays } from '../contract/arrays.ts';

/** Tokens with the end token last; the loss counts `tokens[from]` and all after it as targets. */
export interface Sequence {
  tokens: readonly number[];
  from: number;
  /** The same question with other answers that count as well; absent where there is none. */
  others?: readonly Sequence[];
}

/** How many sequences, tokens and targets a batch has place for; batches of one room have one shape. */
export interface Room {
  sequences: number;
  tokens: number;
  targets: number;
}

/** Place for any `count` sequences of which each has at most `T` inputs. */
export function fullRoom(count: number, T: number): Room {
  return { sequences: count, tokens: count * T, targets: count * T };
}

/**
 * The inputs of all `sequences`, one sequence behind the other, and their targets: `tokens`, `places` (the position in its
 * sequence) `[N]`, `ends [B]` (where each sequence ends), `wanted` (the input that a target follows), `targets` `[R]`, all
 * int32, and `mask [R]`, 1 for a target. What is left of the room stands behind them, and is masked.
 */
export function packBatch(sequences: readonly Sequence[], room: Room): Arrays {
  const ints = (size: number) => new Int32Array(size);
  const [tokens, places] = [ints(room.tokens), ints(room.tokens)];
  const [wanted, targets, mask] = [ints(room.targets), ints(room.targets), new Float32Array(room.targets)];
  const ends = ints(room.sequences);
  let [end, target] = [0, 0];
  sequences.forEach((sequence, b) => {
    const length = sequence.tokens.length - 1;
    for (let t = 0; t < length; t++) {
      tokens[end + t] = sequence.tokens[t]!;
      places[end + t] = t;
      if (t + 1 < sequence.from) continue;
      wanted[target] = end + t;
      targets[target] = sequence.tokens[t + 1]!;
      mask[target++] = 1;
    }
    end += length;
    ends[b] = end;
  });
  ends.fill(end, sequences.length);
  const arrays = { tokens, places, ends, wanted, targets, mask };
  return Object.fromEntries(
    Object.entries(arrays).map(([name, data]) => [name, { data, shape: [data.length] }]),
  );
}

/** In `usual`, or, where that has too little place, in `full`: two shapes, and so two compiled steps at most. */
export function packInto(sequences: readonly Sequence[], usual: Room, full: Room): Arrays {
  const { tokens, targets } = sizeOf(sequences);
  return packBatch(sequences, tokens <= usual.tokens && targets <= usual.targets ? usual : full);
}

function sizeOf(sequences: readonly Sequence[]): Pick<Room, 'tokens' | 'targets'> {
  const inputs = sequences.map(({ tokens }) => tokens.length - 1);
  const targets = sequences.map(({ tokens, from }) => tokens.length - from);
  return { tokens: sum(inputs), targets: sum(targets) };
}

/** Standard deviations of a batch's size that its usual room has place for: one batch in 30,000 has more. */
const SPREAD = 4;

/** Place for nearly every batch that draws so many of each pool. */
export function usualRoom(pools: readonly { items: readonly Sequence[]; count: number }[], full: Room): Room {
  const place = (size: (sequence: Sequence) => number, most: number) => {
    let [mean, variance] = [0, 0];
    for (const { items, count } of pools.filter(({ count }) => count > 0)) {
      const sizes = items.map(size);
      const average = sum(sizes) / sizes.length;
      mean += count * average;
      variance += (count * sum(sizes.map((one) => (one - average) ** 2))) / sizes.length;
    }
    return Math.min(most, Math.ceil(mean + SPREAD * Math.sqrt(variance)));
  };
  return {
    sequences: full.sequences,
    tokens: place(({ tokens }) => tokens.length - 1, full.tokens),
    targets: place(({ tokens, from }) => tokens.length - from, full.targets),
  };
}

const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
