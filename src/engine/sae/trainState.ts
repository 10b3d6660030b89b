/** An alignment run's checkpoint: all that the next step and the final choice depend on, in one `.safetensors` file. */
import { AppError } from '../../errors.ts';
import { readSafetensors, writeSafetensors } from '../../formats/safetensors.ts';
import type { Arrays } from '../contract/arrays.ts';
import type { WrittenFile } from '../contract/writtenFile.ts';
import type { StepperState } from '../step/stepper.ts';
import type { Best } from './best.ts';
import type { LatentHistory } from './history.ts';
import type { TextPositions } from './texts.ts';

export interface SaeTrainState {
  /** Steps done, over both stages. */
  step: number;
  state: StepperState;
  best: Best | null;
  history: LatentHistory;
  /** Where each stream of texts goes on; absent where none was drawn from. */
  texts?: TextPositions;
}

/** `job` names what is being trained, so that no other job resumes from the file. */
export function writeSaeTrainState(
  path: string,
  job: string,
  { step, state, best, history, texts }: SaeTrainState,
): Promise<WrittenFile> {
  const arrays: Arrays = {};
  const groups = { weights: state.weights, m: state.m, v: state.v, best: best?.weights ?? {} };
  for (const [group, members] of Object.entries(groups)) {
    for (const [name, array] of Object.entries(members)) arrays[`${group}/${name}`] = array;
  }
  const chosen = best && { step: best.step, accuracy: best.accuracy, loss: best.loss };
  const { sinceFired, threshold, batches } = history;
  arrays['history/sinceFired'] = { data: sinceFired, shape: [sinceFired.length] };
  const position = JSON.stringify({ step, updates: state.updates, best: chosen, threshold, batches, texts });
  return writeSafetensors(path, arrays, { job, position });
}

/**
 * Reads what `writeSaeTrainState` wrote.
 * @throws {AppError} CONFLICT when the file is the checkpoint of another job.
 */
export async function readSaeTrainState(path: string, job: string): Promise<SaeTrainState> {
  const { arrays, metadata } = await readSafetensors(path);
  if (metadata.job !== job) {
    throw new AppError('CONFLICT', 'the checkpoint to resume from belongs to another job');
  }
  const groups: Record<string, Arrays> = { weights: {}, m: {}, v: {}, best: {}, history: {} };
  for (const [name, array] of Object.entries(arrays)) {
    const slash = name.indexOf('/');
    groups[name.slice(0, slash)]![name.slice(slash + 1)] = array;
  }
  const { step, updates, best, threshold, batches, texts } = JSON.parse(metadata.position!);
  return {
    step,
    state: { weights: groups.weights!, m: groups.m!, v: groups.v!, updates },
    best: best && { ...best, weights: groups.best! },
    history: { sinceFired: groups.history!.sinceFired!.data as Int32Array, threshold, batches },
    texts,
  };
}
