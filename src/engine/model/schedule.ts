/** What depends on the step alone: the learning rate and the time that is left. */
import type { ModelSettings } from '../contract/modelSettings.ts';

/** Steps to time before an estimate of what is left is worth showing. */
const STEPS_BEFORE_ETA = 10;

/** Linear warm-up, then a cosine down to `finalLearningRateShare`; `step` counts from 1. */
export function learningRateAt(settings: ModelSettings, step: number): number {
  const { learningRate, warmupSteps, steps, finalLearningRateShare: floor } = settings;
  if (step <= warmupSteps) return (learningRate * step) / warmupSteps;
  const done = (step - warmupSteps) / (steps - warmupSteps);
  return learningRate * (floor + (1 - floor) * 0.5 * (1 + Math.cos(Math.PI * done)));
}

/** Share of the learning rate at step `n` of `steps`, counted from 1: from 1 down towards 0 along half a cosine. */
export function cosineShare(n: number, steps: number): number {
  return 0.5 * (1 + Math.cos((Math.PI * (n - 1)) / steps));
}

/** Seconds left at the pace since this process began, or null while that is not known. */
export function createEta(from: number, steps: number): (step: number) => number | null {
  let timed: { step: number; at: number } | undefined;
  return (step) => {
    if (step - from < STEPS_BEFORE_ETA) return null;
    timed ??= { step: step - 1, at: performance.now() };
    return ((performance.now() - timed.at) / 1000 / (step - timed.step)) * (steps - step);
  };
}
