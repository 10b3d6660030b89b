/** The order that `random.seed(seed); random.shuffle(items)` gives in Python 3: what its scripts drew can be drawn again. */

const N = 624;
const M = 397;

/** A shuffled copy; `seed` is a whole number of at most 32 bits, from 0. */
export function pythonShuffle<T>(items: readonly T[], seed: number): T[] {
  const next = mersenneTwister(seed);
  const shuffled = [...items];
  for (let i = shuffled.length - 1; i > 0; i--) {
    const j = below(i + 1, next);
    [shuffled[i], shuffled[j]] = [shuffled[j]!, shuffled[i]!];
  }
  return shuffled;
}

/** As many bits as `n` has, drawn again until they are less than it. */
function below(n: number, next: () => number): number {
  const shift = Math.clz32(n);
  for (;;) {
    const drawn = next() >>> shift;
    if (drawn < n) return drawn;
  }
}

/** MT19937, seeded by an array of one number (Matsumoto and Nishimura, `init_by_array`); 32 bits a call. */
function mersenneTwister(seed: number): () => number {
  const state = new Uint32Array(N);
  const follow = (i: number, factor: number) => Math.imul(state[i - 1]! ^ (state[i - 1]! >>> 30), factor);
  state[0] = 19_650_218;
  for (let i = 1; i < N; i++) state[i] = follow(i, 1_812_433_253) + i;
  let i = 1;
  const step = (value: number) => {
    state[i] = value;
    if (++i < N) return;
    state[0] = state[N - 1]!;
    i = 1;
  };
  for (let k = 0; k < N; k++) step((state[i]! ^ follow(i, 1_664_525)) + seed);
  for (let k = 0; k < N - 1; k++) step((state[i]! ^ follow(i, 1_566_083_941)) - i);
  state[0] = 0x8000_0000;
  let at = N;
  return () => {
    if (at === N) {
      twist(state);
      at = 0;
    }
    return temper(state[at++]!);
  };
}

function twist(state: Uint32Array): void {
  for (let k = 0; k < N; k++) {
    const y = (state[k]! & 0x8000_0000) | (state[(k + 1) % N]! & 0x7fff_ffff);
    state[k] = state[(k + M) % N]! ^ (y >>> 1) ^ (y & 1 ? 0x9908_b0df : 0);
  }
}

function temper(value: number): number {
  let y = value;
  y ^= y >>> 11;
  y ^= (y << 7) & 0x9d2c_5680;
  y ^= (y << 15) & 0xefc6_0000;
  return (y ^ (y >>> 18)) >>> 0;
}
