/** A training run's checkpoint: everything the next step depends on, in one `.safetensors` file. */
import { createHash } from 'node:crypto';
import { AppError } from '../../errors.ts';
import { readSafetensors, writeSafetensors } from '../../formats/safetensors.ts';
import type { Arrays } from '../contract/arrays.ts';
import type { WrittenFile } from '../contract/writtenFile.ts';
import type { StepperState, Tensors } from '../step/stepper.ts';

const GROUPS = ['weights', 'm', 'v'] as const;

/**
 * Writes a stepper's weights and moments, its update count and the caller's `position` (JSON-safe: steps done,
 * random states, place in the data). `job` names what is being trained, so that no other job resumes from it.
 */
export function writeTrainState(
  path: string,
  job: string,
  state: StepperState,
  position: unknown,
): Promise<WrittenFile> {
  const arrays: Arrays = {};
  for (const group of GROUPS) {
    for (const [name, array] of Object.entries(state[group])) arrays[`${group}/${name}`] = array;
  }
  const metadata = { job, updates: String(state.updates), position: JSON.stringify(position) };
  return writeSafetensors(path, arrays, metadata);
}

/**
 * Reads what `writeTrainState` wrote.
 * @throws {AppError} CONFLICT when the file is the checkpoint of another job.
 */
export async function readTrainState<Position>(
  path: string,
  job: string,
): Promise<{ state: StepperState; position: Position }> {
  const { arrays, metadata } = await readSafetensors(path);
  if (metadata.job !== job) {
    throw new AppError('CONFLICT', 'the checkpoint to resume from belongs to another job');
  }
  const state: StepperState = { weights: {}, m: {}, v: {}, updates: Number(metadata.updates) };
  for (const [path, array] of Object.entries(arrays)) {
    const slash = path.indexOf('/');
    state[path.slice(0, slash) as (typeof GROUPS)[number]][path.slice(slash + 1)] = array;
  }
  return { state, position: JSON.parse(metadata.position!) as Position };
}

/** A name for weights on the device by what is in them. */
export function hashWeights(weights: Tensors): string {
  const hash = createHash('sha256');
  for (const name of Object.keys(weights).sort()) {
    const tensor = weights[name]!;
    const { buffer, byteOffset, byteLength } = tensor.dataSync() as Float32Array | Int32Array;
    hash.update(`${name} ${tensor.shape}\n`).update(new Uint8Array(buffer, byteOffset, byteLength));
  }
  return hash.digest('hex');
}

/** The same of weights that are not on the device. */
export function hashArrays(arrays: Arrays): string {
  const hash = createHash('sha256');
  for (const name of Object.keys(arrays).sort()) {
    const { data, shape } = arrays[name]!;
    hash.update(`${name} ${shape}\n`).update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }
  return hash.digest('hex');
}

/** A name for a job by its contents: settings, data, and whatever else decides its numbers. */
export function jobFingerprint(job: unknown): string {
  return createHash('sha256').update(JSON.stringify(job)).digest('hex');
}
