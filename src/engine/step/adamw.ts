/** AdamW (Loshchilov & Hutter 2019), in the form of PyTorch's: decoupled decay, epsilon added after bias correction. */
import { add, div, mul, sqrt, square, sub, type Tensor } from '@tensorflow/tfjs-core';
import type { AdamWSettings } from './stepper.ts';

/** The numbers of one update that change from step to step. */
export interface UpdateScalars {
  /** Learning rate with both bias corrections: `learningRate · √(1 − β₂ᵗ) / (1 − β₁ᵗ)`. */
  rate: number;
  /** Epsilon scaled alike, `ε · √(1 − β₂ᵗ)`, so that it counts against the corrected second moment. */
  epsilon: number;
  /** `learningRate · weightDecay`. */
  decay: number;
}

/** @param update Number of this update, from 1. */
export function updateScalars(settings: AdamWSettings, update: number, learningRate: number): UpdateScalars {
  const second = Math.sqrt(1 - settings.beta2 ** update);
  return {
    rate: (learningRate * second) / (1 - settings.beta1 ** update),
    epsilon: settings.epsilon * second,
    decay: learningRate * settings.weightDecay,
  };
}

/** Whether a weight is decayed at all, so that an undecayed one costs no op. */
export function isDecayed(settings: AdamWSettings, name: string): boolean {
  return settings.weightDecay !== 0 && (settings.decays?.(name) ?? true);
}

/** One update of one weight by plain ops; returns new tensors, all of its own shape, which the caller owns. */
export function applyAdamW(
  settings: AdamWSettings,
  scalars: UpdateScalars,
  decayed: boolean,
  { weight, m, v, gradient }: { weight: Tensor; m: Tensor; v: Tensor; gradient: Tensor },
): { weight: Tensor; m: Tensor; v: Tensor } {
  const nextM = add(m, mul(sub(gradient, m), 1 - settings.beta1));
  const nextV = add(v, mul(sub(square(gradient), v), 1 - settings.beta2));
  const kept = decayed ? sub(weight, mul(weight, scalars.decay)) : weight;
  const change = div(mul(nextM, scalars.rate), add(sqrt(nextV), scalars.epsilon));
  return { weight: sub(kept, change), m: nextM, v: nextV };
}
