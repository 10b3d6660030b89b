/** The engine's only source of randomness: seeded, splittable by name, and small enough to be checkpointed. */

/** Four unsigned 32-bit words; JSON-safe, so a checkpoint can carry it. */
export type RandomState = readonly [number, number, number, number];

export interface Random {
  /** Uniform in [0, 1), with 32 bits of resolution. */
  next(): number;
  /** Uniform integer in [0, n). @throws RangeError unless n is an integer from 1 to 2³². */
  int(n: number): number;
  /** Standard normal, by Box and Muller; takes two uniforms, so the state alone says what comes next. */
  normal(): number;
  /** Shuffles in place (Fisher–Yates) and returns the same array. */
  shuffle<T>(items: T[]): T[];
  state(): RandomState;
  /** Goes on exactly as the generator that `state` was taken from would have. */
  restore(state: RandomState): void;
}

/**
 * A generator (sfc32 of PractRand) for one purpose: the same seed and stream names give the same numbers,
 * different stream names give unrelated ones, so adding a draw in one place leaves the others as they were.
 */
export function createRandom(seed: number, ...stream: (string | number)[]): Random {
  let [a, b, c, counter] = seedWords(JSON.stringify([seed, ...stream]));

  function word(): number {
    const t = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (c << 21) | (c >>> 11);
    c = (c + t) | 0;
    return t >>> 0;
  }

  const next = (): number => word() / 2 ** 32;

  function int(n: number): number {
    if (!Number.isInteger(n) || n < 1 || n > 2 ** 32) {
      throw new RangeError(`int(n) takes an integer from 1 to 2^32, got ${n}`);
    }
    return Math.floor(next() * n);
  }

  function shuffle<T>(items: T[]): T[] {
    for (let i = items.length - 1; i > 0; i--) {
      const j = int(i + 1);
      [items[i], items[j]] = [items[j]!, items[i]!];
    }
    return items;
  }

  for (let i = 0; i < 12; i++) word(); // sfc32 asks for a few rounds before its words look independent
  return {
    next,
    int,
    normal: () => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next()),
    shuffle,
    state: () => [a >>> 0, b >>> 0, c >>> 0, counter >>> 0],
    restore(state) {
      [a, b, c, counter] = state.map((w) => w | 0) as [number, number, number, number];
    },
  };
}

/** Hashes text to four words (FNV-1a, finished with the mixer of MurmurHash3), the last one odd. */
function seedWords(text: string): [number, number, number, number] {
  const words = [0x9e3779b9, 0x243f6a88, 0xb7e15162, 0xdeadbeef].map((basis) => {
    let h = basis;
    for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
    h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
    h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
    return (h ^ (h >>> 16)) | 0;
  });
  return [words[0]!, words[1]!, words[2]!, words[3]! | 1];
}
