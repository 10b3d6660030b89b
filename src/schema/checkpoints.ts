/** Models as they were along their training, and when they are kept. */
import { checkpointSchedule } from '../engine/contract/grokkingSettings.ts';
import type { ModelCheckpoint } from '../services/grokking.ts';
import { builder } from './builder.ts';
import { ModelRef } from './refs.ts';
import { addInput } from './settings.ts';

export const CheckpointScheduleInput = addInput(checkpointSchedule);

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
