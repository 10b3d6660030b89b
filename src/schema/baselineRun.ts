/** Runs that train an SAE without labels, to compare alignments with. */

import { startBaselineRun } from '../runs/baseline.ts';
import { conceptLatentsOfRuns } from '../runs/sae.ts';
import { settingsOf } from '../services/run.ts';
import { BaselineSettingsTypes } from './baselineSettings.ts';
import { builder } from './builder.ts';
import { idOf } from './ids.ts';
import { withoutNulls } from './input.ts';
import { BindingRef, ConceptLatentRef, FaithfulnessRef, ReconstructionRef } from './measures.ts';
import { addMutation } from './mutation.ts';
import { BaselineRunRef, ModelRef, RunRef } from './refs.ts';
import { StartRunSuccess } from './run.ts';
import { faithfulnessOn, loadRunOf, measuresOn, studiedModel } from './runFields.ts';
import { SaeLensRef, saeLensFilesOf } from './saeLens.ts';
import { SplitRef } from './split.ts';

builder.node(BaselineRunRef, {
  description:
    'A run that trains a sparse autoencoder (SAE) without labels on the activations of a frozen language model: what an alignment must be compared with.',
  interfaces: [RunRef],
  id: { resolve: (run) => run.id },
  loadOne: loadRunOf('BASELINE'),
  fields: (t) => ({
    settings: t.field({
      type: BaselineSettingsTypes.output,
      description: 'How the SAE is trained.',
      resolve: (run) => settingsOf(run, 'BASELINE'),
    }),
    layer: t.int({
      description:
        'Block whose output (`blocks.{layer}.resid_post`) is read; 0 is the first, and -1 the stream before it (`blocks.0.resid_pre`, the embeddings).',
      resolve: (run) => settingsOf(run, 'BASELINE').layer,
    }),
    model: t.field({
      type: ModelRef,
      description: 'The model that it studies.',
      resolve: studiedModel,
    }),
    saeLens: t.field({
      type: SaeLensRef,
      description: 'Its SAE as files for SAELens.',
      resolve: (run) => saeLensFilesOf(run, 'BaselineRun'),
    }),
    conceptLatents: t.field({
      type: [ConceptLatentRef],
      description:
        'The best single latent of each concept, in the order of the ontology; empty before the end.',
      resolve: (run, _args, { loaders }) => loaders.load(conceptLatentsOfRuns, run.id),
    }),
    binding: t.field({
      type: BindingRef,
      nullable: true,
      description:
        "How well each concept's best latent fires for it and for nothing else; null before the end.",
      args: { split: t.arg({ type: SplitRef, required: true, description: 'On which prompts.' }) },
      resolve: measuresOn,
    }),
    reconstruction: t.field({
      type: ReconstructionRef,
      nullable: true,
      description: 'How well the SAE rebuilds the activations; null before the end.',
      args: { split: t.arg({ type: SplitRef, required: true, description: 'On which prompts.' }) },
      resolve: measuresOn,
    }),
    faithfulness: t.field({
      type: [FaithfulnessRef],
      description: 'What the model still answers with its activations replaced; empty before the end.',
      args: { split: t.arg({ type: SplitRef, required: true, description: 'On which prompts.' }) },
      resolve: faithfulnessOn,
    }),
  }),
});

addMutation('startBaselineRun', {
  description:
    'Queues the training of an SAE without labels on a model’s activations, to compare an alignment with, and returns its run at once.',
  scope: 'run',
  input: builder.inputType('StartBaselineRunInput', {
    description: 'Which model to study on which prompts, and how.',
    fields: (t) => ({
      modelId: t.id({ required: true, description: 'The model to study.' }),
      datasetId: t.id({
        required: false,
        description: 'The dataset whose prompts are asked. Default: the one that the model was trained on.',
      }),
      settings: t.field({
        type: BaselineSettingsTypes.input,
        required: false,
        description: 'How to train.',
      }),
    }),
  }),
  success: StartRunSuccess,
  errors: ['INVALID_INPUT', 'NOT_FOUND'],
  resolve: async ({ modelId, datasetId, settings }, { db }) => ({
    run: await startBaselineRun(db, {
      modelId: idOf(modelId, ['Model'], ['modelId']),
      datasetId: datasetId == null ? undefined : idOf(datasetId, ['Dataset'], ['datasetId']),
      settings: withoutNulls(settings ?? {}),
    }),
  }),
});
