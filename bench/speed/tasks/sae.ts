import { posttrainLoss, pretrainLoss } from '../../../src/engine/sae/objective.ts';
import { saeConfigOf } from '../inputs.ts';
import type { PosttrainWork, PretrainWork } from '../work.ts';
import { stepTask } from './step.ts';
import type { Task } from './task.ts';

export function saeTask(work: PosttrainWork | PretrainWork, inputs: string): Promise<Task> {
  const settings = {
    weights: work.coefficients,
    mode: 'JOINT',
    orthoStopSlots: false,
    freezeFree: false, // as in the authors' code
    decoderNorm: work.decoderNorm,
    pretrain: { sparse: true },
  } as const;
  const lossOf = work.kind === 'POSTTRAIN' ? posttrainLoss : pretrainLoss;
  return stepTask(inputs, lossOf(saeConfigOf(work), settings), work.optimizer);
}
