/** SAEs that were trained elsewhere. */
import { makeLabelled } from '../services/labels.ts';
import type { Sae, SaeSource } from '../services/sae.ts';
import { importSae } from '../services/saeImport.ts';
import { builder } from './builder.ts';
import { hubFields } from './hubSource.ts';
import { idOf } from './ids.ts';
import { withoutNulls } from './input.ts';
import { labelInput, takeLabels } from './labels.ts';
import { addMutation } from './mutation.ts';
import { SaeRef } from './refs.ts';

type Known = Partial<Record<'path' | 'folder', string>>;

export const SaeSourceRef = builder.objectRef<SaeSource>('SaeSource').implement({
  description: 'Where an SAE that was trained elsewhere comes from.',
  fields: (t) => ({
    path: t.string({
      nullable: true,
      description: 'The directory below `IMPORT_DIR`; null for an SAE from the hub.',
      resolve: (source: Known) => source.path,
    }),
    ...hubFields(t),
    folder: t.string({
      nullable: true,
      description: 'The folder of the repository, empty for its root; null for a directory.',
      resolve: (source: Known) => source.folder,
    }),
    file: t.exposeString('file', {
      description: 'The file of its weights: sae_weights.safetensors of SAELens, params.npz of Gemma Scope.',
    }),
  }),
});

builder.objectField(SaeRef, 'source', (t) =>
  t.field({
    type: SaeSourceRef,
    nullable: true,
    description: 'Where it was imported from; null for one that was trained here.',
    resolve: ({ source }) => source,
  }),
);

const ImportSaeSuccess = builder.objectRef<{ sae: Sae }>('ImportSaeSuccess').implement({
  description: 'The SAE was imported and stored.',
  fields: (t) => ({
    sae: t.field({ type: SaeRef, description: 'The stored SAE.', resolve: ({ sae }) => sae }),
  }),
});

addMutation('importSae', {
  description:
    "Imports an SAE of a model's residual stream, whole or not at all: a directory of SAELens (`cfg.json` and `sae_weights.safetensors`, of version 6 or before; architectures standard, gated, jumprelu, topk and batchtopk; F32, F16, BF16 or F64; hooks `blocks.{layer}.hook_resid_post` and `hook_resid_pre`) or one of Gemma Scope (`params.npz`). It computes what SAELens computes with it. Give one of `path` and `repo`. What this engine does not compute is refused by its name. Answers when the SAE is stored.",
  scope: 'run',
  input: builder.inputType('ImportSaeInput', {
    description: 'Where the SAE is, and whose activations it reads.',
    fields: (t) => ({
      modelId: t.id({ required: true, description: 'The model whose activations it reads.' }),
      path: t.string({
        required: false,
        description: 'A directory on the server, relative to its import directory (`IMPORT_DIR`).',
      }),
      repo: t.string({
        required: false,
        description:
          'A repository on the Hugging Face hub, such as google/gemma-scope-2b-pt-res; `HF_TOKEN` gives access to private ones.',
      }),
      revision: t.string({
        required: false,
        description: 'A branch, tag or commit of the repository. Default: main.',
      }),
      folder: t.string({
        required: false,
        description:
          'A folder of the repository, such as layer_12/width_16k/average_l0_82. Default: its root.',
      }),
      layer: t.int({
        required: false,
        description:
          'The layer that it reads, for files that do not say so: the number of the block whose output it is, -1 before the first. Default: what cfg.json, or the folder of Gemma Scope, says.',
      }),
      inputScale: t.float({
        required: false,
        description:
          "What activations are multiplied by before the SAE sees them, and reconstructions divided by: SAELens' norm_scaling_factor, which its files do not have. Default: 1; needed where normalize_activations is expected_average_only_in.",
      }),
      datasetId: t.id({
        required: false,
        description:
          'The dataset on whose prompts it is measured where no other is named. Default: the one that the model was trained on, if any.',
      }),
      name: t.string({
        required: false,
        description: 'Name for people, at most 200 characters. Default: that of the directory or the folder.',
      }),
      ...labelInput(t),
    }),
  }),
  success: ImportSaeSuccess,
  errors: ['INVALID_INPUT', 'NOT_FOUND', 'UNAVAILABLE'],
  resolve: async (input, { db, ...options }) => {
    const { labels, rest } = takeLabels(withoutNulls(input));
    const { modelId, datasetId, ...from } = rest;
    const ids = {
      modelId: idOf(modelId, ['Model'], ['modelId']),
      ...(datasetId !== undefined && { datasetId: idOf(datasetId, ['Dataset'], ['datasetId']) }),
    };
    return { sae: await makeLabelled(db, 'Sae', labels, () => importSae(db, options, { ...from, ...ids })) };
  },
});
