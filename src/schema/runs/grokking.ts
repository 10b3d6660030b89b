/** Runs that follow a two-hop model along its training. */
import { grokkingPreset } from '../../engine/contract/grokkingPresets.ts';
import { lastSae, type StopRule, stopMeasure, stopRule } from '../../engine/contract/grokkingSettings.ts';
import { startGrokkingRun } from '../../runs/grokking.ts';
import {
  type Onset,
  onsetOf,
  pageAnalysesOfRuns,
  pointsOfRuns,
  trainingsOfRuns,
} from '../../services/grokking.ts';
import { resultOf, settingsOf } from '../../services/run.ts';
import { AnalysisSettingsTypes } from '../analysisSettings.ts';
import { builder } from '../builder.ts';
import { CheckpointScheduleInput } from '../checkpoints.ts';
import { idOf } from '../ids.ts';
import { namedInput } from '../labels.ts';
import { ModelSettingsTypes } from '../modelSettings.ts';
import {
  CheckpointAnalysisRunConnection,
  CheckpointAnalysisRunRef,
  GrokkingPointRef,
  ModelRunRef,
} from '../refs.ts';
import { addInput, enumFrom } from '../settings.ts';
import { addRunNode, addStart, priorityInput } from './node.ts';

/** Points that a run may have, in the terms of the complexity rule. */
const POINTS_COMPLEXITY = { field: 10, multiplier: 20 };

const StopMeasure = enumFrom(stopMeasure);

const StopRuleRef = builder.objectRef<StopRule>('GrokkingStopRule').implement({
  description: 'When a grokking run ends before its time.',
  fields: (t) => ({
    measure: t.field({ type: StopMeasure, description: 'What it looks at.', resolve: (r) => r.measure }),
    threshold: t.exposeFloat('threshold', { description: 'What the measure must be at least, 0–1.' }),
    checkpoints: t.exposeInt('checkpoints', { description: 'At how many checkpoints in a row.' }),
  }),
});

const StopRuleInput = addInput(stopRule);

const OnsetRef = builder.objectRef<Onset>('GrokkingOnset').implement({
  description:
    'When it happened, in training steps: the first of the checkpoints so far at which a measure is reached.',
  fields: (t) => ({
    memorization: t.exposeInt('memorization', {
      nullable: true,
      description: 'First with train accuracy of 0.95 or more; null where none is (yet).',
    }),
    generalization: t.exposeInt('generalization', {
      nullable: true,
      description: 'First with held-out accuracy of 0.95 or more; null where none is (yet).',
    }),
    binding: t.exposeInt('binding', {
      nullable: true,
      description: 'First with diagonal strength of 0.9 or more at both hops; null where none is (yet).',
    }),
    gap: t.exposeInt('gap', {
      nullable: true,
      description: 'Steps from memorization to generalization; null until both are there.',
    }),
  }),
});

export const grokkingRun = addRunNode('GROKKING', {
  does: 'Follows a two-hop model along its training, checkpoint by checkpoint, each a run of its own; a `GrokkingRun`.',
  description:
    'Follows a two-hop model along its training. Its parts are the training, which keeps a model at each checkpoint, and one analysis a checkpoint, queued as soon as the checkpoint is there; so other workers measure while training goes on, and where there are none, training makes way. The subscription `grokking` sends a point a checkpoint. It has FAILED if its training or all analyses did; a checkpoint whose analysis failed has no point.',
  fields: (t) => ({
    steps: t.intList({
      description: 'The steps of training whose models are analysed.',
      resolve: (run) => settingsOf(run, 'GROKKING').steps,
    }),
    modelSettings: t.field({
      type: ModelSettingsTypes.output,
      nullable: true,
      description: 'How the model is trained; null where models were there already.',
      resolve: (run) => settingsOf(run, 'GROKKING').model,
    }),
    analysisSettings: t.field({
      type: AnalysisSettingsTypes.output,
      description: 'How each checkpoint is analysed.',
      resolve: (run) => settingsOf(run, 'GROKKING').analysis,
    }),
    stopRule: t.field({
      type: StopRuleRef,
      nullable: true,
      description: 'When it ends before its time; null where it does not.',
      resolve: (run) => settingsOf(run, 'GROKKING').stop,
    }),
    lastSae: t.boolean({
      description:
        'Whether the SAEs of the last checkpoint read all others too: see `GrokkingPoint.bindingByLast`.',
      resolve: (run) => settingsOf(run, 'GROKKING').lastSae ?? false,
    }),
    stoppedAt: t.int({
      nullable: true,
      description:
        'The step at which the stop rule was met, whether or not there was anything left to end; null where it was not.',
      resolve: (run) => resultOf(run, 'GROKKING')?.stoppedAt,
    }),
    trainingRun: t.field({
      type: ModelRunRef,
      nullable: true,
      description: 'The part that trains the model; null where models were there already.',
      resolve: (run, _args, { loaders }) => loaders.load(trainingsOfRuns, run.id),
    }),
    analysisRuns: t.connection(
      {
        type: CheckpointAnalysisRunRef,
        description: 'The parts that measure the checkpoints, in the order of training.',
        resolve: (run, args, { loaders }) => loaders.loadPage(pageAnalysesOfRuns, run.id, args),
      },
      CheckpointAnalysisRunConnection,
    ),
    onset: t.field({
      type: OnsetRef,
      description: 'When it memorized, generalized and bound, of the points so far.',
      resolve: async (run, _args, { loaders }) => onsetOf(await loaders.load(pointsOfRuns, run.id)),
    }),
    points: t.field({
      type: [GrokkingPointRef],
      description: 'What was measured, a point a checkpoint in the order of training, as far as it has come.',
      complexity: POINTS_COMPLEXITY,
      resolve: (run, _args, { loaders }) => loaders.load(pointsOfRuns, run.id),
    }),
  }),
});

const GrokkingSettingsInput = builder.inputType('GrokkingSettingsInput', {
  description: 'How a grokking run follows its model.',
  fields: (t) => ({
    checkpoints: t.field({
      type: CheckpointScheduleInput,
      required: false,
      description: 'Which steps of training to look at, where the run trains the model.',
    }),
    analysis: t.field({
      type: AnalysisSettingsTypes.input,
      required: false,
      description: 'How to analyse each checkpoint.',
    }),
    stop: t.field({
      type: StopRuleInput,
      required: false,
      description: 'When to end before the last checkpoint. Default: never.',
    }),
    lastSae: t.boolean({ required: false, description: `${lastSae.description} Default: false.` }),
  }),
});

const ModelAtStepInput = builder.inputType('ModelAtStepInput', {
  description: 'A model that stands for a step of some training, here or elsewhere.',
  fields: (t) => ({
    modelId: t.id({ required: true, description: 'The model.' }),
    step: t.int({ required: true, description: 'Training steps behind it; 0 is before training.' }),
  }),
});

addStart('startGrokkingRun', {
  description:
    'Queues a run that follows a two-hop model along its training, and returns it at once. Give `datasetId` to train a model, or else `modelRunId` or `models` to follow one that was trained.',
  input: builder.inputType('StartGrokkingRunInput', {
    description: 'Which training to follow, and how.',
    fields: (t) => ({
      ...namedInput(t),
      ...priorityInput(t),
      datasetId: t.id({
        required: false,
        description:
          'The two-hop dataset to learn; of models that are there, the one to ask about. Default there: the one that they were trained on.',
      }),
      preset: t.field({
        type: enumFrom(grokkingPreset),
        required: false,
        description:
          'Defaults of `modelSettings`, of the checkpoints and of their analysis; of the questions where `generateTwoHopDataset` is given the same.',
      }),
      modelSettings: t.field({
        type: ModelSettingsTypes.input,
        required: false,
        description: 'How to build and train the model.',
      }),
      modelRunId: t.id({
        required: false,
        description: 'A model run that kept checkpoints (`keepCheckpoints`), to be followed in hindsight.',
      }),
      models: t.field({
        type: [ModelAtStepInput],
        required: false,
        description: 'Models that stand for steps of one training, such as imported ones.',
      }),
      settings: t.field({
        type: GrokkingSettingsInput,
        required: false,
        description: 'Checkpoints, their analysis, and when to stop.',
      }),
    }),
  }),
  start: (db, { datasetId, modelRunId, models, ...rest }) =>
    startGrokkingRun(db, {
      ...rest,
      datasetId: datasetId && idOf(datasetId, ['Dataset'], ['datasetId']),
      modelRunId: modelRunId && idOf(modelRunId, ['ModelRun'], ['modelRunId']),
      models: models?.map(({ modelId, step }, i) => ({
        step,
        modelId: idOf(modelId, ['Model'], ['models', String(i), 'modelId']),
      })),
    }),
});
