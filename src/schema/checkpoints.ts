/** Models as they were along their training, and when they are kept. */
import { DEFAULT_CHECKPOINTS, MAX_CHECKPOINTS } from '../runs/checkpointSchedule.ts';
import type { ModelCheckpoint } from '../services/grokking.ts';
import { builder } from './builder.ts';
import { ModelRef } from './refs.ts';

const CheckpointSpacing = builder.enumType('CheckpointSpacing', {
  description: 'How checkpoints are spread over a training.',
  values: {
    LINEAR: { description: 'Evenly.' },
    LOG: { description: 'By equal ratios of steps: dense at the beginning, where most changes.' },
  } as const,
});

export const CheckpointScheduleInput = builder.inputType('CheckpointScheduleInput', {
  description: `After which steps of its training a model is kept; at most ${MAX_CHECKPOINTS} of them.`,
  fields: (t) => ({
    schedule: t.field({
      type: CheckpointSpacing,
      required: false,
      description: 'How they are spread, from the untrained model (step 0) to the last step. Default: LOG.',
    }),
    count: t.int({
      required: false,
      description: `How many besides the untrained model; those that LOG puts on one step are one. Default: ${DEFAULT_CHECKPOINTS}.`,
    }),
    steps: t.intList({
      required: false,
      description: 'The steps themselves, in the place of `schedule` and `count`; 0 is before training.',
    }),
  }),
});

export const ModelCheckpointRef = builder.objectRef<ModelCheckpoint>('ModelCheckpoint').implement({
  description: 'A model as it was at some step of its training.',
  fields: (t) => ({
    step: t.exposeInt('step', { description: 'Training steps behind it; 0 is before training.' }),
    model: t.field({
      type: ModelRef,
      description: 'The model, to be studied like any other.',
      resolve: (checkpoint) => checkpoint.model,
    }),
  }),
});
