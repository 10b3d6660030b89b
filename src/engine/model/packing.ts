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

/** Place for these sequences and no more. */
export function roomOf(sequences: readonly Sequence[]): Room {
  return {
    sequences: sequences.length,
    tokens: sum(sequences.map(inputsOf)),
    targets: sum(sequences.map(targetsOf)),
  };
}

const inputsOf = ({ tokens }: Sequence) => tokens.length - 1;
const targetsOf = ({ tokens, from }: Sequence) => tokens.length - from;
const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);

/** Place for what each of the two has place for. */
export function bothRooms(a: Room, b: Room): Room {
  return {
    sequences: a.sequences + b.sequences,
    tokens: a.tokens + b.tokens,
    targets: a.targets + b.targets,
  };
}

/** Whether what needs the one room has place in the other. */
export function fits(needed: Room, room: Room): boolean {
  return needed.sequences <= room.sequences && needed.tokens <= room.tokens && needed.targets <= room.targets;
}

/**
 * Token ids, one list behind the other: `tokens` and `places` (the position in its list) `[N]`, and `ends [B]`, where each
 * list ends. What is left of N and B stands behind them and belongs to none.
 */
export function packTokens(lists: readonly (readonly number[])[], N: number, B = lists.length) {
  const [tokens, places, ends] = [new Int32Array(N), new Int32Array(N), new Int32Array(B)];
  let end = 0;
  lists.forEach((list, b) => {
    tokens.set(list, end);
    for (let t = 0; t < list.length; t++) places[end + t] = t;
    end += list.length;
    ends[b] = end;
  });
  return { tokens, places, ends: ends.fill(end, lists.length) };
}

/**
 * The inputs of all `sequences`, one sequence behind the other, and their targets: `tokens`, `places` (the position in its
 * sequence) `[N]`, `ends [B]` (where each sequence ends), `wanted` (the input that a target follows), `targets` `[R]`, all
 * int32, and `mask [R]`, 1 for a target. What is left of the room stands behind them, and is masked.
 */
export function packBatch(sequences: readonly Sequence[], room: Room): Arrays {
  const inputs = sequences.map(({ tokens }) => tokens.slice(0, -1));
  const { tokens, places, ends } = packTokens(inputs, room.tokens, room.sequences);
  const [wanted, targets] = [new Int32Array(room.targets), new Int32Array(room.targets)];
  let target = 0;
  sequences.forEach((sequence, b) => {
    const start = ends[b]! - inputsOf(sequence);
    for (let t = sequence.from; t < sequence.tokens.length; t++) {
      wanted[target] = start + t - 1;
      targets[target++] = sequence.tokens[t]!;
    }
  });
  const mask = new Float32Array(room.targets).fill(1, 0, target);
  const arrays = { tokens, places, ends, wanted, targets, mask };
  return Object.fromEntries(
    Object.entries(arrays).map(([name, data]) => [name, { data, shape: [data.length] }]),
  );
}

/** In `usual`, or, where that has too little place, in `full`: two shapes, and so two compiled steps at most. */
export function packInto(sequences: readonly Sequence[], usual: Room, full: Room): Arrays {
  return packBatch(sequences, fits(roomOf(sequences), usual) ? usual : full);
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
    tokens: place(inputsOf, full.tokens),
    targets: place(targetsOf, full.targets),
  };
}
