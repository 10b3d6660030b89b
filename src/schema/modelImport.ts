/** Models that were trained elsewhere. */
import { makeLabelled } from '../services/labels.ts';
import type { Model, ModelSource } from '../services/model.ts';
import { importModel } from '../services/modelImport.ts';
import { builder } from './builder.ts';
import { hubFields } from './hubSource.ts';
import { withoutNulls } from './input.ts';
import { labelInput, takeLabels } from './labels.ts';
import { addMutation } from './mutation.ts';
import { ModelRef } from './refs.ts';

type Known = { path?: string; file?: string };

export const ModelSourceRef = builder.objectRef<ModelSource>('ModelSource').implement({
  description: 'Where a model that was trained elsewhere comes from.',
  fields: (t) => ({
    path: t.string({
      nullable: true,
      description: 'The directory or GGUF file below `IMPORT_DIR`; null for a model from the hub.',
      resolve: (source: Known) => source.path,
    }),
    ...hubFields(t),
    file: t.string({
      nullable: true,
      description: 'The GGUF file of the repository; null for a safetensors checkpoint and for a path.',
      resolve: (source: Known) => source.file,
    }),
  }),
});

const ImportModelSuccess = builder.objectRef<{ model: Model }>('ImportModelSuccess').implement({
  description: 'The model was imported and stored.',
  fields: (t) => ({
    model: t.field({ type: ModelRef, description: 'The stored model.', resolve: ({ model }) => model }),
  }),
});

addMutation('importModel', {
  description:
    'Imports a Hugging Face checkpoint, whole or not at all: `config.json`, `tokenizer.json`, and `model.safetensors` in one piece or in shards, as F32, F16 or BF16; or a GGUF file, widened to float32 from F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K or Q6_K. Architectures (`model_type`): GPT-2 (gpt2), GPT-NeoX and Pythia (gpt_neox), Llama 2 and 3, SmolLM2 and TinyLlama (llama), Mistral (mistral), Qwen 2 and 2.5 (qwen2), Qwen 3 (qwen3), Gemma 2 (gemma2), the text models of Gemma 3 (gemma3_text). Give one of `path` and `repo`. What this engine does not compute is refused by its name. Answers when the model is stored: at once for a small one, after its download for a large one.',
  scope: 'run',
  input: builder.inputType('ImportModelInput', {
    description: 'Where the checkpoint is.',
    fields: (t) => ({
      path: t.string({
        required: false,
        description:
          'A directory, or a GGUF file (its name ends in .gguf), on the server, relative to its import directory (`IMPORT_DIR`).',
      }),
      repo: t.string({
        required: false,
        description:
          'A repository on the Hugging Face hub, such as HuggingFaceTB/SmolLM2-135M; `HF_TOKEN` gives access to private ones.',
      }),
      revision: t.string({
        required: false,
        description: 'A branch, tag or commit of the repository. Default: main.',
      }),
      file: t.string({
        required: false,
        description: 'A GGUF file of the repository. Default: its safetensors checkpoint.',
      }),
      name: t.string({
        required: false,
        description:
          'Name for people, at most 200 characters. Default: that of the directory or the repository.',
      }),
      ...labelInput(t),
    }),
  }),
  success: ImportModelSuccess,
  errors: ['INVALID_INPUT', 'UNAVAILABLE'],
  resolve: async (input, { db, ...options }) => {
    const { labels, rest } = takeLabels(withoutNulls(input));
    return { model: await makeLabelled(db, 'Model', labels, () => importModel(db, options, rest)) };
  },
});
