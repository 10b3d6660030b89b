/** Runs that measure an SAE that is there, on any dataset. */
import { startSaeEvaluation } from '../../runs/saeEvaluation.ts';
import { usedSaeOfRuns } from '../../services/sae.ts';
import { builder } from '../builder.ts';
import { idOf } from '../ids.ts';
import { namedInput } from '../labels.ts';
import { SaeRef } from '../refs.ts';
import { addRunNode, addStart, priorityInput } from './node.ts';
import { measureFields } from './sae.ts';

export const saeEvaluationRun = addRunNode('SAE_EVALUATION', {
  does: 'Measures an SAE that is there, imported or trained here, on any dataset; a `SaeEvaluationRun`.',
  description:
    'A run that measures an SAE on the prompts of a dataset, as one is measured at the end of its training.',
  fields: (t) => ({
    sae: t.field({
      type: SaeRef,
      nullable: true,
      description: 'The SAE that it measures.',
      resolve: async (run, _args, { loaders }) => (await loaders.load(usedSaeOfRuns, run.id))!,
    }),
    ...measureFields(t, {
      conceptLatents:
        'The slot of each concept, or of an SAE without slots its best single latent, in the order of the ontology; empty before the end.',
      binding:
        "How well each concept's slot, or best latent, fires for it and for nothing else; null before the end.",
    }),
  }),
});

addStart('startSaeEvaluation', {
  description:
    'Queues the measurement of an SAE on a dataset: reconstruction, active and dead latents, the latents that tell concepts best, faithfulness; and all its latents, as `Sae.latents` lists them. Returns its run at once.',
  input: builder.inputType('StartSaeEvaluationInput', {
    description: 'Which SAE to measure, and on what.',
    fields: (t) => ({
      ...namedInput(t),
      ...priorityInput(t),
      saeId: t.id({ required: true, description: 'The SAE to measure.' }),
      datasetId: t.id({
        required: false,
        description: 'The dataset on whose prompts. Default: that of the SAE.',
      }),
    }),
  }),
  start: (db, { saeId, datasetId }) =>
    startSaeEvaluation(db, {
      saeId: idOf(saeId, ['Sae'], ['saeId']),
      ...(datasetId !== undefined && { datasetId: idOf(datasetId, ['Dataset'], ['datasetId']) }),
    }),
});
