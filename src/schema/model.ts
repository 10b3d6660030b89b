/** Language models. */
import type { ModelConfig } from '../engine/contract/model.ts';
import { architectureOf, decoderOf } from '../engine/contract/modelDecoder.ts';
import { datasetsByIds } from '../services/dataset.ts';
import {
  chatsOfModels,
  listModels,
  modelsByIds,
  pageAlignmentRunsOfModels,
  trainingRunsOfModels,
  trainingStepsOfModels,
} from '../services/model.ts';
import { builder } from './builder.ts';
import { foundInput, NamedOrderRef } from './found.ts';
import { idOf } from './ids.ts';
import { ModelFileRef, modelFilesOf } from './modelExport.ts';
import { ModelSourceRef } from './modelImport.ts';
import { orderOf } from './order.ts';
import {
  AlignmentRunConnection,
  AlignmentRunRef,
  DatasetRef,
  ModelConnection,
  ModelRef,
  ModelRunRef,
} from './refs.ts';
import { SplitRef } from './split.ts';

const ModelConfigRef = builder.objectRef<ModelConfig>('ModelConfig').implement({
  description: 'The architecture of a transformer and its sizes, in the names of TransformerLens.',
  fields: (t) => ({
    architecture: t.string({
      description:
        "What it is built like, in the names of Hugging Face's `model_type`; gpt2 for models trained here, unknown for activations that were captured elsewhere, of which sizes besides dModel and nLayers are 0.",
      resolve: architectureOf,
    }),
    nKeyValueHeads: t.int({
      description: 'Heads of keys and values a block; each is shared by nHeads / nKeyValueHeads heads.',
      resolve: (config) => (config.captured ? 0 : decoderOf(config).attention.nKeyValueHeads),
    }),
    dHead: t.int({
      description: 'Width of a head.',
      resolve: (config) => (config.captured ? 0 : decoderOf(config).attention.dHead),
    }),
    nLayers: t.exposeInt('nLayers', { description: 'Number of blocks; layers are numbered from 0.' }),
    nHeads: t.exposeInt('nHeads', { description: 'Attention heads a block.' }),
    dModel: t.exposeInt('dModel', { description: 'Width of the residual stream.' }),
    dMlp: t.exposeInt('dMlp', { description: "Width of the MLP's hidden layer." }),
    nCtx: t.exposeInt('nCtx', { description: 'Longest sequence in tokens.' }),
    dVocab: t.exposeInt('dVocab', { description: 'Number of tokens in the vocabulary.' }),
    layerNormEps: t.exposeFloat('layerNormEps', { description: 'Epsilon of the norms.' }),
  }),
});

builder.node(ModelRef, {
  description: 'A trained or imported language model, frozen from then on.',
  id: { resolve: (model) => model.id },
  loadOne: (id, { loaders }) => loaders.load(modelsByIds, id),
  fields: (t) => ({
    name: t.exposeString('name', { description: 'Name for people.' }),
    architecture: t.string({
      description: 'What it is built like, as `config.architecture`.',
      resolve: ({ config }) => decoderOf(config).architecture,
    }),
    config: t.field({
      type: ModelConfigRef,
      description: 'Its shape.',
      resolve: (model) => model.config,
    }),
    hasChatTemplate: t.boolean({
      description:
        'Whether its files say how messages of a chat are put to it, so that prompts can be asked with `chat`.',
      resolve: ({ id }, _args, { loaders }) => loaders.load(chatsOfModels, id),
    }),
    nParams: t.exposeFloat('nParams', {
      description: 'Number of weights; a whole number, which may be too large for Int.',
    }),
    accuracy: t.float({
      nullable: true,
      description:
        'Share of the prompts of this split whose greedy continuation is the whole answer, 0–1; null where the dataset has no such prompts.',
      args: { split: t.arg({ type: SplitRef, required: true, description: 'Which prompts.' }) },
      resolve: (model, { split }) => model.accuracy[split],
    }),
    dataset: t.field({
      type: DatasetRef,
      nullable: true,
      description: 'What it was trained on; null for a model trained elsewhere.',
      resolve: ({ datasetId }, _args, { loaders }) => loaders.loadMaybe(datasetsByIds, datasetId),
    }),
    source: t.field({
      type: ModelSourceRef,
      nullable: true,
      description: 'Where it was imported from; null for a model trained here.',
      resolve: ({ source }) => source,
    }),
    artifactHash: t.exposeString('artifactHash', {
      description: 'SHA-256 of its weights: equal hashes mean equal models.',
    }),
    files: t.field({
      type: [ModelFileRef],
      description:
        'The model as a directory: save these files beside one another, and `from_pretrained` of transformers loads it (`AutoModelForCausalLM`, float32) with its tokenizer.',
      complexity: { field: 1, multiplier: 1 },
      resolve: (model) => modelFilesOf(model),
    }),
    createdAt: t.expose('createdAt', {
      type: 'DateTime',
      description: 'When its training ended, or it was imported.',
    }),
    run: t.field({
      type: ModelRunRef,
      nullable: true,
      description: 'The run that trained it; null for a model trained elsewhere.',
      resolve: (model, _args, { loaders }) => loaders.load(trainingRunsOfModels, model.id),
    }),
    trainingStep: t.int({
      nullable: true,
      description:
        'Of a model kept along a training: how many of its steps are behind it; null for any other model.',
      resolve: ({ id }, _args, { loaders }) => loaders.load(trainingStepsOfModels, id),
    }),
    alignmentRuns: t.connection(
      {
        type: AlignmentRunRef,
        description: 'The alignment runs that study it, newest first.',
        resolve: (model, args, { loaders }) => loaders.loadPage(pageAlignmentRunsOfModels, model.id, args),
      },
      AlignmentRunConnection,
    ),
  }),
});

const ModelFilter = builder.inputType('ModelFilter', {
  description: 'Which models to list; conditions left out do not restrict.',
  fields: (t) => ({
    datasetId: t.id({ required: false, description: 'Those trained on this dataset.' }),
    isCheckpoint: t.boolean({
      required: false,
      description: 'True: those kept along a training; false: none of them. Default: false.',
    }),
    ...foundInput(t),
  }),
});

builder.queryField('models', (t) =>
  t.connection(
    {
      type: ModelRef,
      description: 'Language models, newest first unless another order is given.',
      args: {
        filter: t.arg({ type: ModelFilter, required: false, description: 'Which models.' }),
        orderBy: t.arg({ type: NamedOrderRef, required: false, description: 'In which order.' }),
      },
      resolve: (_root, { filter, orderBy, ...args }, { db }) => {
        const datasetId = filter?.datasetId && idOf(filter.datasetId, ['Dataset'], ['filter', 'datasetId']);
        return listModels(db, { ...filter, datasetId }, args, orderOf(orderBy));
      },
    },
    ModelConnection,
  ),
);
