/** Adam (Kingma & Ba 2015) on arrays, for the few numbers that controls learn; models and SAEs learn by a `Stepper`. */

const EPSILON = 1e-8;

/** Moves `weights` against the gradient at a rate; `step` counts from 1. */
export type AdamStep = (
  weights: Float32Array | Float64Array,
  gradient: ArrayLike<number>,
  rate: number,
  step: number,
) => void;

export function createAdam(length: number, beta1: number, beta2: number): AdamStep {
  const [m, v] = [new Float64Array(length), new Float64Array(length)];
  return (weights, gradient, rate, step) => {
    for (let i = 0; i < length; i++) {
      const g = gradient[i]!;
      m[i] = beta1 * m[i]! + (1 - beta1) * g;
      v[i] = beta2 * v[i]! + (1 - beta2) * g * g;
      const size = Math.sqrt(v[i]! / (1 - beta2 ** step)) + EPSILON;
      weights[i]! -= (rate * m[i]!) / (1 - beta1 ** step) / size;
    }
  };
}
