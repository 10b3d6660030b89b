/** Runs that train a language model. */
import { FINE_TUNING_DEFAULTS } from '../../engine/contract/modelSettings.ts';
import { startModelRun } from '../../runs/model.ts';
import { checkpointsOfRuns } from '../../services/grokking.ts';
import { modelsByIds } from '../../services/model.ts';
import { resultOf, settingsOf } from '../../services/run.ts';
import { builder } from '../builder.ts';
import { CheckpointScheduleInput, ModelCheckpointRef } from '../checkpoints.ts';
import { idOf } from '../ids.ts';
import { namedInput } from '../labels.ts';
import { ModelSettingsTypes } from '../modelSettings.ts';
import { ModelRef } from '../refs.ts';
import { addRunNode, addStart, priorityInput } from './node.ts';

export const modelRun = addRunNode('MODEL', {
  does: 'Trains a language model; a `ModelRun`.',
  description: 'A run that trains a language model on a dataset.',
  fields: (t) => ({
    settings: t.field({
      type: ModelSettingsTypes.output,
      description: 'How the model is built and trained.',
      resolve: (run) => settingsOf(run, 'MODEL'),
    }),
    finalLoss: t.float({
      nullable: true,
      description:
        'Training loss of the last step (cross-entropy in nats a token); null until it has succeeded.',
      resolve: (run) => {
        const result = resultOf(run, 'MODEL');
        return result && 'finalLoss' in result ? result.finalLoss : null;
      },
    }),
    checkpoints: t.field({
      type: [ModelCheckpointRef],
      description: 'The models that it has kept along the way so far, in the order of training.',
      resolve: (run, _args, { loaders }) => loaders.load(checkpointsOfRuns, run.id),
    }),
    initialModel: t.field({
      type: ModelRef,
      nullable: true,
      description: 'The model whose weights it began with; null where they were drawn.',
      resolve: ({ initialModelId }, _args, { loaders }) => loaders.loadMaybe(modelsByIds, initialModelId),
    }),
  }),
});

addStart('startModelRun', {
  description: 'Queues the training of a language model on a dataset and returns its run at once.',
  input: builder.inputType('StartModelRunInput', {
    description: 'What to train on, and how.',
    fields: (t) => ({
      ...namedInput(t),
      ...priorityInput(t),
      datasetId: t.id({ required: true, description: 'The dataset to learn.' }),
      modelId: t.id({
        required: false,
        description: `The model to fine-tune: training begins with its weights and keeps its shape and tokenizer; settings that contradict it are refused. Other defaults then: ${Object.entries(
          FINE_TUNING_DEFAULTS,
        )
          .map(([key, value]) => `${key} ${value}`)
          .join(', ')}. Loss is on answers alone, unless textShare is given. Default: new weights.`,
      }),
      settings: t.field({
        type: ModelSettingsTypes.input,
        required: false,
        description: 'How to build and train the model; the defaults suit the generated biographies.',
      }),
      keepCheckpoints: t.field({
        type: CheckpointScheduleInput,
        required: false,
        description:
          'When to keep the model along the way, so that what it knew then can be studied. Default: never.',
      }),
    }),
  }),
  start: (db, { datasetId, modelId, ...how }) =>
    startModelRun(db, {
      ...how,
      datasetId: idOf(datasetId, ['Dataset'], ['datasetId']),
      modelId: modelId && idOf(modelId, ['Model'], ['modelId']),
    }),
});
