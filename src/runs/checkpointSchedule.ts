/** At which steps of its training a model is kept. */
import {
  type CheckpointSchedule,
  checkpointSchedule,
  DEFAULT_CHECKPOINTS,
  MAX_CHECKPOINTS,
} from '../engine/contract/grokkingSettings.ts';
import { invalidInput, parseOrThrow } from '../errors.ts';

/**
 * The steps, ascending: those given, or else 0 (the untrained model) and `count` more up to the last, evenly spaced
 * (LINEAR) or by equal ratios (LOG; steps that coincide are one). `trainingSteps` is how long the training is.
 * @throws AppError INVALID_INPUT below `path`.
 */
export function checkpointSteps(
  input: CheckpointSchedule,
  trainingSteps: number,
  path: readonly string[],
): number[] {
  const { schedule, count: asked, steps } = parseOrThrow(checkpointSchedule, input, path);
  if (steps) {
    if (schedule !== undefined || asked !== undefined)
      throw invalidInput([...path, 'steps'], 'steps exclude schedule and count; give one or the other');
    return checkGiven(steps, trainingSteps, [...path, 'steps']);
  }
  const n = Math.min(asked ?? DEFAULT_CHECKPOINTS, trainingSteps);
  const stepAt = (i: number) =>
    schedule === 'LINEAR'
      ? (trainingSteps * i) / n
      : n === 1
        ? trainingSteps
        : trainingSteps ** ((i - 1) / (n - 1));
  const spaced = Array.from({ length: n }, (_, i) => Math.round(stepAt(i + 1)));
  return [0, ...new Set(spaced)];
}

function checkGiven(steps: readonly number[], trainingSteps: number, path: readonly string[]): number[] {
  if (steps.length < 1 || steps.length > MAX_CHECKPOINTS)
    throw invalidInput(path, `steps must be 1 to ${MAX_CHECKPOINTS}, got ${steps.length}`);
  steps.forEach((step, i) => {
    if (step < 0 || step > trainingSteps)
      throw invalidInput([...path, String(i)], `steps must be 0 to ${trainingSteps}, the last; got ${step}`);
    if (steps.indexOf(step) < i) throw invalidInput([...path, String(i)], `step ${step} is there twice`);
  });
  return [...steps].sort((a, b) => a - b);
}
