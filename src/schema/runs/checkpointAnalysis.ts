/** Parts of grokking runs, each of which analyses a checkpoint. */
import { modelsByIds } from '../../services/model.ts';
import { HopSaeRef, hopSaesOf } from '../hopSae.ts';
import { ModelRef } from '../refs.ts';
import { addRunNode } from './node.ts';

export const checkpointAnalysisRun = addRunNode('CHECKPOINT_ANALYSIS', {
  does: 'Measures one checkpoint of a grokking run; a `CheckpointAnalysisRun`.',
  description:
    'A part of a grokking run: trains an SAE on the activations of one checkpoint and measures it.',
  fields: (t) => ({
    step: t.int({
      description: 'Step of training after which the model is studied.',
      resolve: (r) => r.step!,
    }),
    model: t.field({
      type: ModelRef,
      nullable: true,
      description:
        'The model that it studies; null while training has not come to it (phase AWAITING_CHECKPOINT).',
      resolve: ({ modelId }, _args, { loaders }) => loaders.loadMaybe(modelsByIds, modelId),
    }),
    saes: t.field({
      type: [HopSaeRef],
      description: 'The SAEs that it measured by, hop 1, then hop 2; empty before the end.',
      resolve: hopSaesOf,
    }),
  }),
});
