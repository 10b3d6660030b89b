/** Activations that were captured elsewhere, of models that this engine cannot run. */
import type { ModelConfig } from '../engine/contract/model.ts';
import { importActivations } from '../services/activationImport.ts';
import type { Dataset } from '../services/dataset.ts';
import { checkLabels, label } from '../services/labels.ts';
import type { Model } from '../services/model.ts';
import { builder } from './builder.ts';
import { idOf } from './ids.ts';
import { withoutNulls } from './input.ts';
import { labelInput, takeLabels } from './labels.ts';
import { addMutation } from './mutation.ts';
import { DatasetRef, ModelRef } from './refs.ts';

const CapturedRef = builder.objectRef<NonNullable<ModelConfig['captured']>>('CapturedActivations').implement({
  description:
    'What is known of a model without weights: the activations at the last tokens of the prompts of its dataset.',
  fields: (t) => ({
    layer: t.exposeInt('layer', {
      description:
        'Block behind which they were captured (`blocks.{layer}.resid_post`); -1 is the stream before the first.',
    }),
  }),
});

builder.objectField(ModelRef, 'captured', (t) =>
  t.field({
    type: CapturedRef,
    nullable: true,
    description:
      'Of a model without weights, imported by `importActivations`: where its activations were captured. SAEs can be trained on them, bound, looked at and exported; swaps, generation, faithfulness, value heads and the tokens that latents raise need a model that computes. Null for a model that does.',
    resolve: ({ config }) => config.captured,
  }),
);

addMutation('importActivations', {
  description:
    'Imports activations that were captured elsewhere, whole or not at all, as a model without weights and the dataset of their prompts. The directory has one or more `.safetensors` shards, each with one tensor [prompts, dModel] as F32, F16, BF16 or F64, whose rows follow one another in the order of the numbers in the names of the shards; and one `.jsonl` file whose line n says what row n is: `prompt`, `concept`, `entity`, and if known `answer`, `split` (default TRAIN) and `template`. What needs the model itself (swaps, generation, faithfulness, value heads) is refused or null afterwards; alignments need `layer` to be the one given here, and `weights.silence` to be 0.',
  scope: 'run',
  input: builder.inputType('ImportActivationsInput', {
    description: 'Where the activations are, and of which layer they are.',
    fields: (t) => ({
      path: t.string({
        required: true,
        description: 'The directory on the server, relative to its import directory (`IMPORT_DIR`).',
      }),
      layer: t.int({
        required: true,
        description:
          'Block behind which they were captured (`blocks.{layer}.resid_post`); -1 is the stream before the first. Accepted: -1 to 999.',
      }),
      ontologyId: t.id({
        required: false,
        description:
          'The ontology whose concepts the lines name. Default: one made of them, in the order of their first lines.',
      }),
      name: t.string({
        required: false,
        description: 'Name of model and dataset, at most 200 characters. Default: that of the directory.',
      }),
      ...labelInput(t),
    }),
  }),
  success: builder.objectRef<{ model: Model; dataset: Dataset }>('ImportActivationsSuccess').implement({
    description: 'The activations were imported and stored.',
    fields: (t) => ({
      model: t.field({
        type: ModelRef,
        description: 'The model without weights.',
        resolve: ({ model }) => model,
      }),
      dataset: t.field({
        type: DatasetRef,
        description: 'Its prompts.',
        resolve: ({ dataset }) => dataset,
      }),
    }),
  }),
  errors: ['INVALID_INPUT', 'NOT_FOUND', 'UNAVAILABLE'],
  resolve: async (input, { db, ...options }) => {
    const { labels, rest } = takeLabels(withoutNulls(input));
    checkLabels('Model', labels);
    const ontologyId = rest.ontologyId && idOf(rest.ontologyId, ['Ontology'], ['ontologyId']);
    const { model, dataset } = await importActivations(db, options, { ...rest, ontologyId });
    return { model: await label(db, 'Model', model.id, labels), dataset };
  },
});
