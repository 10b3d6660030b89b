/** Runs that swap relations at either hop of two-hop questions. */
import { hopSwapsOfRuns, startHopSwapRun, summarizeHops } from '../../runs/hopSwap.ts';
import { runsByIds, settingsOf } from '../../services/run.ts';
import { AnalysisSettingsTypes } from '../analysisSettings.ts';
import { builder } from '../builder.ts';
import { HopSaeRef, hopSaesOf } from '../hopSae.ts';
import { HopSwapEdit, HopSwapResultRef, HopSwapSummaryRef } from '../hopSwap.ts';
import { HopSwapSettingsTypes } from '../hopSwapSettings.ts';
import { idOf } from '../ids.ts';
import { namedInput } from '../labels.ts';
import { CheckpointAnalysisRunRef } from '../refs.ts';
import { addRunNode, addStart, priorityInput } from './node.ts';

/** Methods of all edits at both hops, in the terms of the complexity rule. */
const RESULTS_COMPLEXITY = { field: 10, multiplier: 32 };

export const hopSwapRun = addRunNode('HOP_SWAP', {
  does: 'Swaps relations at either hop of two-hop questions beside their controls; a `HopSwapRun`.',
  description:
    'A run that swaps relations at either hop of two-hop questions, with every method and beside the controls. Each method keeps the alpha that does best on TRAIN questions, and held-out questions tell what it reaches. A run whose engine is killed does it again, to the same figures.',
  fields: (t) => ({
    settings: t.field({
      type: HopSwapSettingsTypes.output,
      description: 'What it tries.',
      resolve: (run) => settingsOf(run, 'HOP_SWAP').swaps,
    }),
    analysisSettings: t.field({
      type: AnalysisSettingsTypes.output,
      description: 'How the SAEs were trained.',
      resolve: (run) => settingsOf(run, 'HOP_SWAP').analysis,
    }),
    analysisRun: t.field({
      type: CheckpointAnalysisRunRef,
      nullable: true,
      description: 'The analysis whose SAEs it edits; null where it trains its own.',
      resolve: ({ analysisRunId }, _args, { loaders }) => loaders.loadMaybe(runsByIds, analysisRunId),
    }),
    saes: t.field({
      type: [HopSaeRef],
      description:
        'The SAEs that it trained, hop 1, then hop 2; empty before the end, and where it edits those of an analysis.',
      resolve: hopSaesOf,
    }),
    results: t.field({
      type: [HopSwapResultRef],
      description: 'What was reached at either hop, in the order of work; empty before the end.',
      args: {
        hop: t.arg.int({ required: false, description: 'Only this hop, 1 or 2.' }),
        edited: t.arg({
          type: HopSwapEdit,
          required: false,
          description: 'Only the slots, or this control.',
        }),
      },
      complexity: RESULTS_COMPLEXITY,
      resolve: async (run, { hop, edited }, { loaders }) =>
        (await loaders.load(hopSwapsOfRuns, run.id)).filter(
          (one) => (hop ?? one.hop) === one.hop && (edited ?? one.edited) === one.edited,
        ),
    }),
    hops: t.field({
      type: [HopSwapSummaryRef],
      description: 'Hop 1, then hop 2: the slots beside the unsupervised latents; empty before the end.',
      complexity: { field: 10, multiplier: 2 },
      resolve: async (run, _args, { loaders }) => summarizeHops(await loaders.load(hopSwapsOfRuns, run.id)),
    }),
  }),
});

addStart('startHopSwapRun', {
  description:
    'Queues swaps of relations at either hop of two-hop questions, with their controls, and returns the run at once. Give `runId` to edit the SAEs of a grokking run’s checkpoint, or else `modelId` to have SAEs trained for a model.',
  input: builder.inputType('StartHopSwapRunInput', {
    description: 'Whose slots to swap, and what to try.',
    fields: (t) => ({
      ...namedInput(t),
      ...priorityInput(t),
      runId: t.id({
        required: false,
        description: 'A grokking run; the very SAEs that its checkpoint was measured by are edited.',
      }),
      step: t.int({
        required: false,
        description: 'Its checkpoint, by the step of training. Default: the last that has been analysed.',
      }),
      modelId: t.id({
        required: false,
        description:
          'A model that answers two-hop questions, trained here or imported. The run trains SAEs as an analysis does: equal settings give equal SAEs.',
      }),
      datasetId: t.id({
        required: false,
        description: 'The two-hop dataset to ask the model about. Default: the one that it was trained on.',
      }),
      analysis: t.field({
        type: AnalysisSettingsTypes.input,
        required: false,
        description: 'How to train the SAEs of a model.',
      }),
      settings: t.field({
        type: HopSwapSettingsTypes.input,
        required: false,
        description: 'What to try.',
      }),
    }),
  }),
  start: (db, { runId, modelId, datasetId, ...rest }) =>
    startHopSwapRun(db, {
      ...rest,
      runId: runId && idOf(runId, ['GrokkingRun'], ['runId']),
      modelId: modelId && idOf(modelId, ['Model'], ['modelId']),
      datasetId: datasetId && idOf(datasetId, ['Dataset'], ['datasetId']),
    }),
});
