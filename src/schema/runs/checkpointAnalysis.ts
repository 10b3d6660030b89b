import { HopSaeRef, hopSaesOf } from '../hopSae.ts';
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
    saes: t.field({
      type: [HopSaeRef],
      description: 'The SAEs that it measured by, hop 1, then hop 2; empty before the end.',
      resolve: hopSaesOf,
    }),
  }),
});
