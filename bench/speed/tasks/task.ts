import type { Work } from '../work.ts';
import { machineTask } from './machine.ts';
import { captureTask, generateTask, modelStepTask } from './model.ts';
import { activationsTask, steerTask } from './reading.ts';
import { saeTask } from './sae.ts';
import { servedTask } from './served.ts';
import { sweepTask } from './sweep.ts';

/** A piece of work that is ready to be done again and again. */
export interface Task {
  /** Numbers that any right implementation comes to; asked once, before anything is timed. */
  check(): Promise<number[]>;
  run(): Promise<unknown>;
  /** Parts of a run among which its time is divided. */
  units: number;
}

/** @param inputs Path of the weights and the batch; a sweep and a server keep what they need in this directory. */
export async function createTask(work: Work, inputs: string, variant: string): Promise<Task> {
  switch (work.kind) {
    case 'POSTTRAIN':
    case 'PRETRAIN':
      return saeTask(work, inputs);
    case 'MODEL_STEP':
      return modelStepTask(work, inputs);
    case 'CAPTURE':
      return captureTask(work, inputs);
    case 'GENERATE':
      return generateTask(work, inputs);
    case 'STEER':
      return steerTask(work, inputs);
    case 'ACTIVATIONS':
      return activationsTask(work, inputs, variant);
    case 'SERVED':
      return servedTask(work, inputs, variant);
    case 'SWEEP':
      return sweepTask(work, inputs, variant);
    case 'MACHINE':
      return machineTask();
  }
}
