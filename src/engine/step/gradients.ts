/** Forward and backward pass of one loss, the same ops whether they run eagerly or are being recorded. */
import { add, div, engine, keep, maximum, sqrt, square, sum, type Tensor, tidy } from '@tensorflow/tfjs-core';
import { attribute, hasKernels, rawOp } from '../native/rawOps.ts';
import { mapValues } from './arrays.ts';
import type { LossFunction, Tensors } from './stepper.ts';

export interface Differentiated {
  /** `loss`, whatever else the loss function reports, and `gradNorm` where gradients are clipped. */
  scalars: Tensors;
  /** By weight name; a trainable weight that the loss does not reach is absent and stays as it is. */
  gradients: Tensors;
  /** What clipping multiplies all gradients by, a scalar; null where nothing is clipped. */
  scale: Tensor | null;
}

/**
 * Runs `loss` and differentiates it with respect to the named weights; the caller's `tidy` owns the results.
 * @throws Error when the loss is not a scalar or reaches none of the weights.
 */
export function differentiate(
  what: string,
  loss: LossFunction,
  { weights, batch }: { weights: Tensors; batch: Tensors },
  trainable: readonly string[],
  clipNorm: number | null,
): Differentiated {
  let reported: Tensors = {};
  const forward = () => {
    // Kept, because the tape's own scope would dispose what it does not return.
    reported = mapValues(loss(weights, batch), keep);
    return reported.loss!;
  };
  const { grads } = engine().gradients(
    forward,
    trainable.map((name) => weights[name]!),
    undefined,
    true,
  );
  const scalars = mapValues(reported, (value) => value.clone());
  for (const value of new Set(Object.values(reported))) value.dispose();
  checkScalars(what, scalars);
  const found = trainable.map((name, i) => [name, grads[i]] as const).filter(([, gradient]) => gradient);
  if (found.length === 0) throw new Error(`${what} depends on none of the weights that it trains`);
  const gradients = Object.fromEntries(found);
  if (clipNorm === null) return { scalars, gradients, scale: null };
  const gradNorm = globalNorm(Object.values(gradients));
  const scale = div(clipNorm, maximum(gradNorm, clipNorm));
  return { scalars: { ...scalars, gradNorm }, gradients, scale };
}

/** `√Σ g²` over all gradients together. */
function globalNorm(gradients: readonly Tensor[]): Tensor {
  if (hasKernels()) return rawOp('AlignsaeGlobalNorm', [attribute.int('N', gradients.length)], gradients);
  return tidy(() => sqrt(gradients.map((gradient) => sum(square(gradient))).reduce((a, b) => add(a, b))));
}

function checkScalars(what: string, scalars: Tensors): void {
  for (const [name, value] of Object.entries(scalars))
    if (value.rank !== 0 || value.dtype !== 'float32')
      throw new Error(
        `${what} must return float32 scalars, got ${value.dtype} [${value.shape.join(', ')}] for "${name}"`,
      );
}
