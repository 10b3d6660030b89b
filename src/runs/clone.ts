/** A run once more with other settings: what is not said anew is as it was, and all of it is checked again. */
import { and, asc, eq } from 'drizzle-orm';
import type { Executor } from '../db/client.ts';
import { isOfKind, type RunOf, settingsOf } from '../db/queries/runOf.ts';
import { type Run, readRun } from '../db/queries/runs.ts';
import { usedSaeOfRuns } from '../db/queries/saes.ts';
import { runs } from '../db/tables/index.ts';
import type { AlignmentSettings, AlignmentSettingsInput } from '../engine/contract/alignmentSettings.ts';
import type { GrokSettingsInput } from '../engine/contract/analysisSettings.ts';
import { asAlignmentSettings, type BaselineSettingsInput } from '../engine/contract/baselineSettings.ts';
import { usesOfTexts } from '../engine/contract/corpus.ts';
import type { HopSwapSettingsInput } from '../engine/contract/hopSwapSettings.ts';
import type { KnowledgeSettingsInput } from '../engine/contract/knowledge.ts';
import { merge } from '../engine/contract/merge.ts';
import type { ModelSettingsInput } from '../engine/contract/modelSettings.ts';
import type { RunKind, SweepAxes } from '../engine/contract/runs.ts';
import type { SweepSettingsInput } from '../engine/contract/swapSweepSettings.ts';
import { AppError, invalidInput, invalidInputs, notFound } from '../errors.ts';
import { startAlignmentRun } from './alignment.ts';
import { startAlignmentSweep } from './alignmentSweep.ts';
import { startBaselineRun } from './baseline.ts';
import { readConcepts } from './concepts.ts';
import { refusePart } from './copy.ts';
import { startGrokkingRun } from './grokking.ts';
import { startHopSwapRun } from './hopSwap.ts';
import { startKnowledgeRun } from './knowledge.ts';
import { startModelRun } from './model.ts';
import { startSaeEvaluation } from './saeEvaluation.ts';
import { startSwapSweep } from './swapSweep.ts';
import { pathsOf } from './sweepAxes.ts';

/** Settings to be other than they were; each goes with certain kinds of runs. */
export interface Changes {
  model?: ModelSettingsInput;
  alignment?: AlignmentSettingsInput;
  baseline?: BaselineSettingsInput;
  swapSweep?: SweepSettingsInput;
  hopSwap?: HopSwapSettingsInput;
  analysis?: GrokSettingsInput;
  knowledge?: KnowledgeSettingsInput;
}

interface Cloning<K extends RunKind> {
  /** What can be changed, and where the starting function has it in its input. */
  changes: { [C in keyof Changes]?: readonly string[] };
  start(db: Executor, run: Run & RunOf<K>, changes: Changes): Promise<Run>;
}

const SETTINGS = ['settings'];

const CLONING: { [K in RunKind]: Cloning<K> } = {
  MODEL: {
    changes: { model: SETTINGS },
    start(db, run, { model }) {
      const { keepSteps, ...stored } = settingsOf(run, 'MODEL');
      const settings = merge(asInput(stored), model);
      const kept = keepSteps?.filter((step) => step <= (settings.steps ?? step));
      return startModelRun(db, {
        datasetId: run.datasetId,
        modelId: run.initialModelId ?? undefined,
        settings,
        keepCheckpoints: kept && { steps: kept },
      });
    },
  },
  ALIGNMENT: {
    changes: { alignment: SETTINGS },
    async start(db, run, { alignment }) {
      const [sae] = await usedSaeOfRuns(db, [run.id]);
      const settings = merge(settingsOf(run, 'ALIGNMENT'), alignment);
      return startAlignmentRun(db, { ...studied(run, settings), pretrainedSaeId: sae?.id, settings });
    },
  },
  BASELINE: {
    changes: { baseline: SETTINGS },
    start(db, run, { baseline }) {
      const settings = merge(settingsOf(run, 'BASELINE'), baseline);
      return startBaselineRun(db, { ...studied(run, asAlignmentSettings(settings)), settings });
    },
  },
  SWAP_SWEEP: {
    changes: { swapSweep: SETTINGS },
    async start(db, run, { swapSweep }) {
      const { pairs, ...stored } = settingsOf(run, 'SWAP_SWEEP');
      const concepts = await readConcepts(db, run);
      const [sae] = await usedSaeOfRuns(db, [run.id]);
      return startSwapSweep(db, {
        runId: run.alignmentRunId!,
        baselineRunId: run.baselineRunId ?? undefined,
        baselineSaeId: sae?.id,
        pairs: pairs.map(({ source, target }) => ({
          source: concepts[source]!.id,
          target: concepts[target]!.id,
        })),
        settings: merge(asInput(stored), swapSweep),
      });
    },
  },
  ALIGNMENT_SWEEP: {
    changes: { alignment: SETTINGS },
    async start(db, run, { alignment }) {
      const [sae] = await usedSaeOfRuns(db, [run.id]);
      const { layers, seeds, alignment: stored, axes: varied } = settingsOf(run, 'ALIGNMENT_SWEEP');
      if (varied) return cloneAxes(db, run, varied, alignment);
      const merged = merge(stored, alignment);
      const { layer: _, seed: _1, ...settings } = merged;
      return startAlignmentSweep(db, {
        ...studied(run, merged),
        pretrainedSaeId: sae?.id,
        layers,
        seeds,
        // Refused there where they are named, for layers and seeds say it.
        settings: { ...settings, layer: alignment?.layer, seed: alignment?.seed },
      });
    },
  },
  GROKKING: {
    changes: { model: ['modelSettings'], analysis: ['settings', 'analysis'] },
    async start(db, run, changes) {
      const { model, steps, stop, analysis } = settingsOf(run, 'GROKKING');
      const common = { datasetId: run.datasetId };
      const settings = { analysis: merge(analysis, changes.analysis), stop: stop ?? undefined };
      if (!model) return startGrokkingRun(db, { ...common, models: await readModels(db, run.id), settings });
      const modelSettings = merge(asInput(model), changes.model);
      const kept = steps.filter((step) => step <= (modelSettings.steps ?? step));
      return startGrokkingRun(db, {
        ...common,
        modelSettings,
        settings: { ...settings, checkpoints: { steps: kept } },
      });
    },
  },
  CHECKPOINT_ANALYSIS: {
    changes: {},
    async start(_db, run) {
      refusePart(run);
      return run;
    },
  },
  HOP_SWAP: {
    changes: { hopSwap: SETTINGS, analysis: ['analysis'] },
    async start(db, run, changes) {
      const { swaps, analysis } = settingsOf(run, 'HOP_SWAP');
      const settings = merge(swaps, changes.hopSwap);
      if (run.analysisRunId === null)
        return startHopSwapRun(db, {
          modelId: run.modelId!,
          datasetId: run.datasetId,
          analysis: merge(analysis, changes.analysis),
          settings,
        });
      const { parentId, step } = (await readRun(db, run.analysisRunId))!;
      return startHopSwapRun(db, {
        runId: parentId!,
        step: step!,
        // Refused there, where it can be said why.
        analysis: changes.analysis,
        settings,
      });
    },
  },
  SAE_EVALUATION: {
    changes: {},
    async start(db, run) {
      const [sae] = await usedSaeOfRuns(db, [run.id]);
      return startSaeEvaluation(db, { saeId: sae!.id, datasetId: run.datasetId });
    },
  },
  KNOWLEDGE: {
    changes: { knowledge: SETTINGS },
    start(db, run, { knowledge }) {
      const settings = merge(settingsOf(run, 'KNOWLEDGE'), knowledge);
      return startKnowledgeRun(db, { modelId: run.modelId!, datasetId: run.datasetId, settings });
    },
  },
};

/**
 * Queues a run like this one, whatever has become of it, but for the changes.
 * @throws AppError NOT_FOUND; INVALID_INPUT at the setting that is not acceptable, or does not go with such a run.
 */
export async function startClone(db: Executor, id: string, changes: Changes): Promise<Run> {
  const run = await readRun(db, id);
  if (!run) throw notFound('Run', id);
  return clone(db, run, run.kind, changes);
}

async function clone<K extends RunKind>(db: Executor, run: Run, kind: K, changes: Changes): Promise<Run> {
  const cloning: Cloning<K> = CLONING[kind];
  if (!isOfKind(run, kind)) throw new Error(`run ${run.id} is not of kind ${kind}`);
  for (const name of Object.keys(changes) as (keyof Changes)[])
    if (changes[name] !== undefined && !(name in cloning.changes)) throw foreign(name, run);
  if (changes.alignment?.preset !== undefined)
    throw invalidInput(
      ['alignment', 'preset'],
      'preset must be left out: what is not changed is as it was in the run; a preset is for a new one',
    );
  try {
    return await cloning.start(db, run, changes);
  } catch (error) {
    throw inOwnTerms(error, cloning.changes);
  }
}

function foreign(name: keyof Changes, { kind }: Run): AppError {
  const fitting = Object.keys(CLONING[kind].changes);
  const accepted = fitting.length > 0 ? fitting.join(' or ') : 'none: it has no settings of its own';
  return invalidInput([name], `${name} does not go with a run of kind ${kind}; accepted is ${accepted}`);
}

/** What the starting function says of its input, said of this one's. */
function inOwnTerms(error: unknown, changes: Cloning<RunKind>['changes']): unknown {
  if (!(error instanceof AppError) || error.code !== 'INVALID_INPUT') return error;
  const places = Object.entries(changes);
  const translate = (path: readonly string[]) => {
    const fitting = places.find(([, place]) => place.every((key, i) => path[i] === key));
    return fitting ? [fitting[0], ...path.slice(fitting[1].length)] : ['id'];
  };
  return invalidInputs(error.issues.map(({ path, message }) => ({ message, path: translate(path) })));
}

/** The sweep's own lists again, and the changes over the settings that all parts were given. */
async function cloneAxes(
  db: Executor,
  run: Run,
  { axes, combination, base }: SweepAxes,
  changes: AlignmentSettingsInput = {},
): Promise<Run> {
  const { layers, seeds } = settingsOf(run, 'ALIGNMENT_SWEEP');
  const varied = pathsOf(axes);
  const twice = pathsOf([{ values: [changes] }]).find((path) => varied.includes(path));
  if (twice !== undefined)
    throw invalidInput(
      ['settings', ...twice.split('.')],
      `${twice} must be left out: the sweep varies it by its axes; start a new one to vary it otherwise`,
    );
  const [sae] = await usedSaeOfRuns(db, [run.id]);
  const { layer: _, seed: _1, ...settings } = merge(base, changes);
  return startAlignmentSweep(db, {
    pretrainedSaeId: sae?.id,
    modelId: run.modelId!,
    datasetId: run.datasetId,
    corpusId: run.corpusId ?? undefined,
    ...{ axes, combination },
    ...(!varied.includes('layer') && { layers }),
    ...(!varied.includes('seed') && { seeds }),
    settings: { ...settings, layer: changes.layer, seed: changes.seed },
  });
}

function studied({ modelId, datasetId, corpusId }: Run, settings: AlignmentSettings) {
  const isRead = usesOfTexts(settings).length > 0;
  return { modelId: modelId!, datasetId, corpusId: (isRead && corpusId) || undefined };
}

/** The models that an analysis of checkpoints was given. */
async function readModels(db: Executor, runId: string): Promise<{ modelId: string; step: number }[]> {
  const parts = await db
    .select({ modelId: runs.modelId, step: runs.step })
    .from(runs)
    .where(and(eq(runs.parentId, runId), eq(runs.kind, 'CHECKPOINT_ANALYSIS')))
    .orderBy(asc(runs.step));
  return parts.map(({ modelId, step }) => ({ modelId: modelId!, step: step! }));
}

type WithoutNull<T> = { [K in keyof T]: Exclude<T[K], null> };

/** Settings in force as they would be asked for: what has no value where it does not apply is left out. */
function asInput<T extends object>(settings: T): Partial<WithoutNull<T>> {
  const given = Object.entries(settings).filter(([, value]) => value !== null);
  return Object.fromEntries(given) as Partial<WithoutNull<T>>;
}
