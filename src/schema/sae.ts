/** Sparse autoencoders as nouns of their own: those of runs, and those that were imported. */
import { nLatentsOf } from '../engine/contract/sae.ts';
import { faithfulnessOfRuns } from '../runs/sae.ts';
import { datasetsByIds } from '../services/dataset.ts';
import { modelsByIds } from '../services/model.ts';
import { runsByIds } from '../services/run.ts';
import {
  evaluationsOfSaes,
  listSaes,
  measuringRuns,
  pageSaesOfModels,
  saeOfRuns,
  saesByIds,
  usedSaeOfRuns,
} from '../services/sae.ts';
import { measuresOfRuns } from '../services/slot.ts';
import { EncoderActivationRef } from './alignmentSettings.ts';
import { builder } from './builder.ts';
import type { Context } from './context.ts';
import { foundInput, NamedOrderRef } from './found.ts';
import { idOf } from './ids.ts';
import { FaithfulnessRef, ReconstructionRef } from './measures.ts';
import { orderOf } from './order.ts';
import {
  AlignmentRunRef,
  BaselineRunRef,
  CheckpointAnalysisRunRef,
  DatasetRef,
  ModelRef,
  RunRef,
  SaeConnection,
  SaeEvaluationRunRef,
  SaeRef,
} from './refs.ts';
import { SaeLensRef, saeLensFilesOfSae } from './saeLens.ts';
import { SplitRef } from './split.ts';

builder.node(SaeRef, {
  description:
    "A sparse autoencoder (SAE) of a model's activations: free latents first, then a slot for each concept if it has slots.",
  id: { resolve: (sae) => sae.id },
  loadOne: (id, { loaders }) => loaders.load(saesByIds, id),
  fields: (t) => ({
    name: t.exposeString('name', { description: 'Name for people.' }),
    architecture: t.field({
      type: EncoderActivationRef,
      description: 'How its free latents fire.',
      resolve: ({ config }) => config.activation,
    }),
    dModel: t.int({
      description: 'Width of the activations that it reads.',
      resolve: ({ config }) => config.dModel,
    }),
    nLatents: t.int({
      description: 'Number of latents, free ones and slots together.',
      resolve: ({ config }) => nLatentsOf(config),
    }),
    nSlots: t.int({
      description: 'Number of slots; 0 for one that learned without labels.',
      resolve: ({ config }) => config.nConcepts,
    }),
    k: t.int({
      nullable: true,
      description: 'Free latents that stay active per activation; null where their number is not fixed.',
      resolve: ({ config: { activation, k } }) =>
        activation === 'TOPK' || activation === 'BATCH_TOPK' ? k : null,
    }),
    layer: t.exposeInt('layer', {
      description:
        'Block whose output (`blocks.{layer}.resid_post`) it reads; -1 is the stream before the first.',
    }),
    model: t.field({
      type: ModelRef,
      description: 'The model whose activations it reads.',
      resolve: async ({ modelId }, _args, { loaders }) => (await loaders.load(modelsByIds, modelId))!,
    }),
    dataset: t.field({
      type: DatasetRef,
      nullable: true,
      description:
        'The dataset on whose prompts it learned, or is measured unless another is named; null for one imported without.',
      resolve: ({ datasetId }, _args, { loaders }) => loaders.loadMaybe(datasetsByIds, datasetId),
    }),
    run: t.field({
      type: RunRef,
      nullable: true,
      description: 'The run that trained it; null for one that was imported.',
      resolve: ({ runId }, _args, { loaders }) => loaders.loadMaybe(runsByIds, runId),
    }),
    saeLens: t.field({
      type: SaeLensRef,
      description: 'It as files for SAELens.',
      resolve: (sae) => saeLensFilesOfSae(sae),
    }),
    artifactHash: t.exposeString('artifactHash', {
      description: 'SHA-256 of its file: equal hashes mean equal SAEs.',
    }),
    createdAt: t.expose('createdAt', {
      type: 'DateTime',
      description: 'When its training ended, or it was imported.',
    }),
  }),
});

const SaeFilterInput = builder.inputType('SaeFilter', {
  description: 'Which SAEs to list; conditions left out do not restrict.',
  fields: (t) => ({
    modelId: t.id({ required: false, description: "Those of this model's activations." }),
    layer: t.int({ required: false, description: 'Those of this layer.' }),
    isImported: t.boolean({
      required: false,
      description: 'True: those that were imported; false: those that were trained here.',
    }),
    ...foundInput(t),
  }),
});

builder.queryFields((t) => ({
  sae: t.field({
    type: SaeRef,
    nullable: true,
    description: 'The SAE with this id; null when there is none.',
    args: { id: t.arg.id({ required: true, description: 'Id of the SAE.' }) },
    resolve: (_root, { id }, { loaders }) => loaders.load(saesByIds, idOf(id, ['Sae'], ['id'])),
  }),
  saes: t.connection(
    {
      type: SaeRef,
      description: 'SAEs, newest first unless another order is given.',
      args: {
        filter: t.arg({ type: SaeFilterInput, required: false, description: 'Which SAEs.' }),
        orderBy: t.arg({ type: NamedOrderRef, required: false, description: 'In which order.' }),
      },
      resolve: (_root, { filter, orderBy, ...args }, { db }) => {
        const modelId = filter?.modelId && idOf(filter.modelId, ['Model'], ['filter', 'modelId']);
        return listSaes(db, { ...filter, modelId }, args, orderOf(orderBy));
      },
    },
    SaeConnection,
  ),
}));

builder.objectField(ModelRef, 'saes', (t) =>
  t.connection(
    {
      type: SaeRef,
      description: 'The SAEs of its activations, newest first.',
      resolve: (model, args, { loaders }) => loaders.loadPage(pageSaesOfModels, model.id, args),
    },
    SaeConnection,
  ),
);

const OF_RUN = {
  type: SaeRef,
  nullable: true,
} as const;

for (const [ref, description] of [
  [AlignmentRunRef, 'The SAE that it trained; null before the end.'],
  [BaselineRunRef, 'The SAE that it trained; null before the end.'],
  [
    CheckpointAnalysisRunRef,
    'The SAE that it trained for both hops; null before the end, and where each hop has its own.',
  ],
] as const)
  builder.objectField(ref, 'sae', (t) =>
    t.field({
      ...OF_RUN,
      description,
      resolve: (run, _args, { loaders }) => loaders.load(saeOfRuns, run.id),
    }),
  );

builder.objectField(AlignmentRunRef, 'pretrainedSae', (t) =>
  t.field({
    ...OF_RUN,
    description: 'The SAE with which it began; null where its weights were drawn.',
    resolve: (run, _args, { loaders }) => loaders.load(usedSaeOfRuns, run.id),
  }),
);

const MEASURED = 'by the newest evaluation there, or else by the run that trained it there';

builder.objectFields(SaeRef, (t) => {
  const args = {
    split: t.arg({ type: SplitRef, required: true, description: 'On which prompts.' }),
    datasetId: t.arg.id({
      required: false,
      description: 'The dataset on whose prompts. Default: that of the SAE.',
    }),
  };
  const runFor = ({ id }: { id: string }, datasetId: string | null | undefined, { loaders }: Context) =>
    loaders.load(measuringRuns, datasetId ? `${id}/${idOf(datasetId, ['Dataset'], ['datasetId'])}` : id);
  return {
    evaluations: t.field({
      type: [SaeEvaluationRunRef],
      description: 'The runs that measured it, or are to, newest first; `startSaeEvaluation` adds one.',
      resolve: (sae, _args, { loaders }) => loaders.load(evaluationsOfSaes, sae.id),
    }),
    reconstruction: t.field({
      type: ReconstructionRef,
      nullable: true,
      description: `How well it rebuilds activations on a dataset: FVU, L0, dead latents; ${MEASURED}. Null where nobody has measured it: see \`startSaeEvaluation\`.`,
      args,
      resolve: async (sae, { split, datasetId }, context) => {
        const run = await runFor(sae, datasetId, context);
        const measures = run ? await context.loaders.load(measuresOfRuns, run.id) : [];
        return measures.find((each) => each.split === split);
      },
    }),
    faithfulness: t.field({
      type: [FaithfulnessRef],
      description: `What the model still answers with activations replaced by its reconstruction, and by others; ${MEASURED}. Empty where nobody has measured it.`,
      args,
      resolve: async (sae, { split, datasetId }, context) => {
        const run = await runFor(sae, datasetId, context);
        const measures = run ? await context.loaders.load(faithfulnessOfRuns, run.id) : [];
        return measures.filter((each) => each.split === split);
      },
    }),
  };
});
