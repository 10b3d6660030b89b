/** Training steps on one batch, again and again. */

import type { Arrays } from '../../../src/engine/contract/arrays.ts';
import { createStepper } from '../../../src/engine/step/create.ts';
import type { AdamWSettings, LossFunction } from '../../../src/engine/step/stepper.ts';
import { readInputs } from '../inputs.ts';
import type { Optimizer } from '../work.ts';
import type { Task } from './task.ts';

/** How many steps' losses are compared. */
const CHECKED_STEPS = 3;

/** `decays` says which weights decay, where any do; `unread` is what of the inputs is the peers' alone. */
export async function stepTask(
  inputs: string,
  loss: LossFunction,
  { learningRate, ...optimizer }: Optimizer,
  { decays, unread = [] }: { decays?: AdamWSettings['decays']; unread?: readonly string[] } = {},
): Promise<Task> {
  const { weights, batch } = await readInputs(inputs);
  for (const name of unread) delete batch[name];
  const stepper = createStepper({ weights, optimizer: { ...optimizer, decays }, losses: { loss } });
  const step = async () => stepper.step('loss', batch as Arrays, learningRate).loss!;
  return {
    async check() {
      const losses: number[] = [];
      for (let i = 0; i < CHECKED_STEPS; i++) losses.push(await step());
      return losses;
    },
    run: step,
    units: 1,
  };
}
