/** Starts grokking runs: a training with an analysis at each checkpoint, or analyses of models that are there. */
import { isNotNull, sql } from 'drizzle-orm';
import { z } from 'zod';
import type { Executor } from '../db/client.ts';
import { listModelCheckpoints } from '../db/queries/grokking.ts';
import { type NewRun, type Run, readRun } from '../db/queries/runs.ts';
import { grokkingBindings, grokkingLastBindings, grokkingPoints } from '../db/tables/index.ts';
import { type GrokSettingsInput, grokSettings } from '../engine/contract/analysisSettings.ts';
import { GROKKING_PRESETS, type GrokkingPreset } from '../engine/contract/grokkingPresets.ts';
import {
  type CheckpointSchedule,
  checkpointSchedule,
  lastSae,
  MAX_CHECKPOINTS,
  stopRule,
} from '../engine/contract/grokkingSettings.ts';
import {
  type ModelSettings,
  type ModelSettingsInput,
  modelSettings,
} from '../engine/contract/modelSettings.ts';
import type { GrokkingSettings } from '../engine/contract/runs.ts';
import { invalidInput, notFound, parseOrThrow } from '../errors.ts';
import { checkpointSteps } from './checkpointSchedule.ts';
import type { ParentKind } from './kind.ts';
import { onDataset, queueParts } from './start.ts';
import {
  checkComputes,
  checkLayer,
  checkTwoHops,
  chooseStudied,
  type Dataset,
  readDataset,
} from './studied.ts';
import { json, numbers, pick, rate, storedIn, times } from './table.ts';

const HOP_COLUMNS = {
  ...numbers('step hop top1 top3 top5 diagonalStrength ablationEffect'),
  ...json('matrix'),
};

export const grokking: ParentKind = {
  tables: {
    points: {
      description: 'What was measured of each checkpoint.',
      key: ['step'],
      ...storedIn(
        grokkingPoints,
        {
          ...numbers('step'),
          ...times('at'),
          ...numbers('trainQuestions'),
          ...rate('trainAccuracy', 'trainCorrect', 'trainQuestions'),
          ...numbers('heldOutQuestions'),
          ...rate('heldOutAccuracy', 'heldOutCorrect', 'heldOutQuestions'),
          oneHopQuestions: { type: 'number', from: ({ oneHopQuestions }) => oneHopQuestions ?? 0 },
          ...rate('oneHopAccuracy', 'oneHopCorrect', 'oneHopQuestions'),
          ...numbers('loss weightNorm logitMargin'),
        },
        { also: ['trainCorrect', 'heldOutCorrect', 'oneHopCorrect'], where: isNotNull(grokkingPoints.seq) },
      ),
    },
    'hop-binding': {
      description: 'Binding of each checkpoint by hop; the matrix has a row a relation and a column a slot.',
      columns: HOP_COLUMNS,
      key: ['step', 'hop'],
      rows: (runIds) => sql`
        select ${pick(grokkingBindings, Object.keys(HOP_COLUMNS))}
        from ${grokkingBindings} join grokking_points p using (run_id, step)
        where run_id in ${runIds} and p.seq is not null`,
    },
    'hop-binding-by-last': {
      description:
        'The same of the SAEs of the last checkpoint on every checkpoint, where they were to read all.',
      columns: HOP_COLUMNS,
      key: ['step', 'hop'],
      rows: (runIds) => sql`
        select ${pick(grokkingLastBindings, Object.keys(HOP_COLUMNS))}
        from ${grokkingLastBindings} where run_id in ${runIds}`,
    },
  },
};

/** Checked together, so that one error names all that is not acceptable. */
const requestedSettings = z.object({
  modelSettings,
  settings: z.object({
    checkpoints: checkpointSchedule.optional(),
    analysis: grokSettings.prefault({}),
    stop: stopRule.optional(),
    lastSae,
  }),
});

export interface NewGrokkingRun {
  /** What to train on; with `modelRunId` or `models`, the questions to ask where it is not what they were trained on. */
  datasetId?: string;
  modelSettings?: ModelSettingsInput;
  /** Defaults of a model to be trained, its checkpoints and their analysis. */
  preset?: GrokkingPreset;
  /** A training run that kept checkpoints. */
  modelRunId?: string;
  /** Models that are there, with the steps of training that they stand for. */
  models?: readonly { modelId: string; step: number }[];
  settings?: {
    checkpoints?: CheckpointSchedule;
    analysis?: GrokSettingsInput;
    stop?: z.input<typeof stopRule>;
    lastSae?: boolean;
  };
}

/**
 * Queues a grokking run with all its parts, in one transaction. Where it trains the model, each analysis waits for
 * its checkpoint.
 * @throws AppError NOT_FOUND for dataset, run or models; INVALID_INPUT naming what is not acceptable.
 */
export async function startGrokkingRun(db: Executor, input: NewGrokkingRun): Promise<Run> {
  const isTrained = input.modelRunId === undefined && input.models === undefined;
  if (input.preset !== undefined && !isTrained)
    throw invalidInput(['preset'], 'preset is for models that are to be trained; leave it out');
  const preset = input.preset && GROKKING_PRESETS[input.preset];
  const { modelSettings: model, settings } = parseOrThrow(requestedSettings, {
    modelSettings: { ...preset?.model, ...input.modelSettings },
    settings: { ...input.settings, analysis: { ...preset?.analysis, ...input.settings?.analysis } },
  });
  const { analysis, stop = null, lastSae } = settings;
  if (lastSae && stop)
    throw invalidInput(
      ['settings', 'lastSae'],
      'lastSae needs to know which checkpoint is the last before the run begins; leave stop out',
    );
  const common = { analysis, stop, lastSae };
  if (isTrained) return train(db, input, { ...common, model });
  if (input.modelRunId !== undefined && input.models !== undefined)
    throw invalidInput(['models'], 'modelRunId and models exclude each other; give one of them');
  for (const [path, given] of [
    [['modelSettings'], input.modelSettings],
    [['settings', 'checkpoints'], input.settings?.checkpoints],
  ] as const)
    if (given !== undefined)
      throw invalidInput(path, `${path.at(-1)} is for models that are to be trained; leave it out`);
  return attach(db, input, common);
}

/** The preset's, as far as the training goes. */
function presetCheckpoints(preset: GrokkingPreset | undefined, steps: number): CheckpointSchedule {
  const own = preset && GROKKING_PRESETS[preset].checkpoints;
  return own?.steps ? { steps: [...new Set([...own.steps.filter((step) => step < steps), steps])] } : {};
}

type Common = Pick<GrokkingSettings, 'analysis' | 'stop' | 'lastSae'>;

async function train(
  db: Executor,
  input: NewGrokkingRun,
  { model, ...common }: Common & { model: ModelSettings },
): Promise<Run> {
  const { datasetId } = input;
  if (datasetId === undefined)
    throw invalidInput(['datasetId'], 'datasetId, modelRunId or models must be given');
  checkLayer({ name: 'to be trained', config: model }, common.analysis.layer, LAYER);
  const asked = input.settings?.checkpoints ?? presetCheckpoints(input.preset, model.steps);
  const steps = checkpointSteps(asked, model.steps, ['settings', 'checkpoints']);
  const dataset = await readDataset(db, datasetId);
  await checkTwoHops(db, dataset);
  const training = { kind: 'MODEL', settings: { ...model, keepSteps: steps }, seed: model.seed } as const;
  const analyses = steps.map((step) => ({ step, modelId: null, phase: 'AWAITING_CHECKPOINT' as const }));
  return queueAll(db, dataset, { ...common, steps, model }, analyses, [training]);
}

async function attach(db: Executor, input: NewGrokkingRun, common: Common): Promise<Run> {
  const given = input.modelRunId
    ? await readKept(db, input.modelRunId)
    : [...(input.models ?? [])].sort((a, b) => a.step - b.step);
  const place = input.modelRunId ? 'modelRunId' : 'models';
  checkGiven(given, [place]);
  const studied = [];
  for (const { modelId } of given)
    studied.push(await chooseStudied(db, { modelId, datasetId: input.datasetId }));
  const [{ dataset, model: first }] = studied as [(typeof studied)[0]];
  for (const { model, dataset: own } of studied) {
    checkComputes(model, 'a grokking run', [place]);
    checkLayer(model, common.analysis.layer, LAYER);
    if (own.id !== dataset.id)
      throw invalidInput(
        ['datasetId'],
        'the models were trained on different datasets; say which one to ask',
      );
    if (model.config.dModel !== first.config.dModel)
      throw invalidInput([place], `models "${first.name}" and "${model.name}" have different dModel`);
  }
  await checkTwoHops(db, dataset);
  const steps = given.map(({ step }) => step);
  return queueAll(db, dataset, { ...common, steps, model: null }, given);
}

const LAYER = ['settings', 'analysis', 'layer'];

async function readKept(db: Executor, modelRunId: string): Promise<{ modelId: string; step: number }[]> {
  const run = await readRun(db, modelRunId);
  if (!run) throw notFound('Run', modelRunId);
  const kept = await listModelCheckpoints(db, run.id);
  if (kept.length > 0) return kept;
  throw invalidInput(
    ['modelRunId'],
    `the run of kind ${run.kind} has kept no checkpoints; start it with keepCheckpoints`,
  );
}

function checkGiven(given: readonly { step: number }[], path: readonly string[]): void {
  if (given.length < 1 || given.length > MAX_CHECKPOINTS)
    throw invalidInput(path, `checkpoints must be 1 to ${MAX_CHECKPOINTS}, got ${given.length}`);
  for (const [i, { step }] of given.entries()) {
    if (step < 0) throw invalidInput(path, `step must be at least 0, got ${step}`);
    if (step === given[i - 1]?.step) throw invalidInput(path, `step ${step} is there twice`);
  }
}

function queueAll(
  db: Executor,
  dataset: Dataset,
  settings: GrokkingSettings,
  analyses: readonly Pick<NewRun, 'modelId' | 'step' | 'phase'>[],
  trainings: readonly Pick<NewRun & { kind: 'MODEL' }, 'kind' | 'settings' | 'seed'>[] = [],
): Promise<Run> {
  const { analysis } = settings;
  const common = onDataset(dataset);
  const asAnalysis = {
    ...common,
    kind: 'CHECKPOINT_ANALYSIS',
    settings: analysis,
    seed: analysis.seed,
  } as const;
  const seed = settings.model?.seed ?? analysis.seed;
  // The training comes first: it has the lowest id.
  return queueParts(db, { ...common, kind: 'GROKKING', settings, seed }, [
    ...trainings.map((training) => ({ ...common, ...training })),
    ...analyses.map((part) => ({ ...asAnalysis, ...part })),
  ]);
}
