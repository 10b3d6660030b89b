/** The kinds of runs: what each stores as its settings and its result, and the engine's job behind it. */
import { z } from 'zod';
import type { AlignmentJob, AlignmentResult, BaselineJob, BaselineResult } from './alignment.ts';
import {
  type AlignmentSettings,
  type AlignmentSettingsInput,
  alignmentSettings,
} from './alignmentSettings.ts';
import type { CheckpointAnalysisJob, CheckpointAnalysisResult } from './analysis.ts';
import { type GrokSettings, grokSettings } from './analysisSettings.ts';
import { type BaselineSettings, baselineSettings } from './baselineSettings.ts';
import { withDefaults } from './describe.ts';
import type { StopRule } from './grokkingSettings.ts';
import type { HopSwapJob, HopSwapResult, StoredHopSwapSettings } from './hopSwap.ts';
import { hopSwapSettings } from './hopSwapSettings.ts';
import {
  type KnowledgeJob,
  type KnowledgeResult,
  type KnowledgeSettings,
  knowledgeSettings,
} from './knowledge.ts';
import type { ModelJob, ModelResult } from './model.ts';
import { type ModelSettings, modelSettings } from './modelSettings.ts';
import {
  type SaeEvaluationJob,
  type SaeEvaluationResult,
  type SaeEvaluationSettings,
  saeEvaluationSettings,
} from './saeEvaluation.ts';
import type { StoredSweepSettings, SwapSweepJob, SwapSweepResult } from './swapSweep.ts';
import { sweepSettings } from './swapSweepSettings.ts';

/** The job that an engine does for a run, and what it returns; a kind that is not here follows its parts. */
export interface EngineJobs {
  MODEL: { job: ModelJob; result: ModelResult };
  ALIGNMENT: { job: AlignmentJob; result: AlignmentResult };
  BASELINE: { job: BaselineJob; result: BaselineResult };
  SWAP_SWEEP: { job: SwapSweepJob; result: SwapSweepResult };
  CHECKPOINT_ANALYSIS: { job: CheckpointAnalysisJob; result: CheckpointAnalysisResult };
  HOP_SWAP: { job: HopSwapJob; result: HopSwapResult };
  SAE_EVALUATION: { job: SaeEvaluationJob; result: SaeEvaluationResult };
  KNOWLEDGE: { job: KnowledgeJob; result: KnowledgeResult };
}
export type EngineRunKind = keyof EngineJobs;

/** Who does the work: an engine, or the parts that the run follows. */
const WORK = {
  MODEL: 'ENGINE',
  ALIGNMENT: 'ENGINE',
  BASELINE: 'ENGINE',
  SWAP_SWEEP: 'ENGINE',
  ALIGNMENT_SWEEP: 'PARTS',
  GROKKING: 'PARTS',
  CHECKPOINT_ANALYSIS: 'ENGINE',
  HOP_SWAP: 'ENGINE',
  SAE_EVALUATION: 'ENGINE',
  KNOWLEDGE: 'ENGINE',
} as const satisfies { [K in RunKind]: K extends EngineRunKind ? 'ENGINE' : 'PARTS' };

export const RUN_KINDS = Object.keys(WORK) as RunKind[];
/** Kinds that no worker takes up: such a run follows its parts. */
export const PARENT_KINDS = RUN_KINDS.filter((kind) => WORK[kind] === 'PARTS');
export const ENGINE_KINDS = RUN_KINDS.filter((kind): kind is EngineRunKind => WORK[kind] === 'ENGINE');

/** Validated settings, whole, defaults filled in. */
export interface RunSettings {
  MODEL: StoredModelSettings;
  ALIGNMENT: AlignmentSettings;
  BASELINE: BaselineSettings;
  SWAP_SWEEP: StoredSweepSettings;
  ALIGNMENT_SWEEP: AlignmentSweepSettings;
  GROKKING: GrokkingSettings;
  CHECKPOINT_ANALYSIS: GrokSettings;
  HOP_SWAP: StoredHopSwapSettings;
  SAE_EVALUATION: SaeEvaluationSettings;
  KNOWLEDGE: KnowledgeSettings;
}
export type RunKind = keyof RunSettings;

/** What of a run's settings was described, by kind. */
const DESCRIBED: Readonly<Record<RunKind, z.ZodObject>> = {
  MODEL: modelSettings,
  ALIGNMENT: alignmentSettings,
  BASELINE: baselineSettings,
  SWAP_SWEEP: sweepSettings,
  ALIGNMENT_SWEEP: z.object({ alignment: alignmentSettings }),
  GROKKING: z.object({ analysis: grokSettings, model: modelSettings.nullable() }),
  CHECKPOINT_ANALYSIS: grokSettings,
  HOP_SWAP: z.object({ analysis: grokSettings, swaps: hopSwapSettings }),
  SAE_EVALUATION: saeEvaluationSettings,
  KNOWLEDGE: knowledgeSettings,
};

/** A run's settings as this version reads them, also those that an older one stored: see `withDefaults`. */
export function completeSettings<K extends RunKind>(kind: K, stored: RunSettings[K]): RunSettings[K] {
  return withDefaults(DESCRIBED[kind], stored);
}

/** Small results that have no table of their own. */
export interface RunResults {
  MODEL: Pick<ModelResult, 'finalLoss' | 'accuracy' | 'nParams'> | Stopped;
  ALIGNMENT: Pick<AlignmentResult, 'bestStep' | 'dModel' | 'chosenAlpha'> & CountedSinks;
  BASELINE: Pick<BaselineResult, 'dModel'> & CountedSinks;
  SWAP_SWEEP: Pick<SwapSweepResult, 'edits' | 'seconds'> & Partial<Pick<SwapSweepResult, 'probe' | 'das'>>;
  ALIGNMENT_SWEEP: never;
  GROKKING: Stopped;
  CHECKPOINT_ANALYSIS: never;
  HOP_SWAP: never;
  SAE_EVALUATION: never;
  KNOWLEDGE: Pick<KnowledgeResult, 'known'>;
}

/** Absent of runs from before they were counted. */
type CountedSinks = Partial<Pick<BaselineResult, 'sinks'>>;

/** Ended by the stop rule of a grokking run, at this step of training. */
export interface Stopped {
  stoppedAt: number;
}

/** How a model is trained, and at which steps it is kept. */
export type StoredModelSettings = ModelSettings & { keepSteps?: number[] };

/** What a sweep stores as its settings. */
export interface AlignmentSweepSettings {
  layers: number[];
  seeds: number[];
  /** Of every part, but for `layer`, `seed` and what axes set, which are those of the first. */
  alignment: AlignmentSettings;
  /** Where more than layers and seeds is varied. */
  axes?: SweepAxes;
}

/** Lists of settings that a sweep varies, as they were given. */
export interface SweepAxes {
  combination: 'GRID' | 'PAIRED';
  /** The settings that all parts were given, over which those of an axis go. */
  base: AlignmentSettingsInput;
  axes: { values: AlignmentSettingsInput[] }[];
  /** Dotted, of all settings that the axes set but for `layer` and `seed`. */
  paths: string[];
}

/** What a grokking run stores as its settings. */
export interface GrokkingSettings {
  steps: number[];
  analysis: GrokSettings;
  stop: StopRule | null;
  /** Whether the SAEs of the last checkpoint read all others too; absent of runs from before there was a choice. */
  lastSae?: boolean;
  /** How the model is trained; null where models were there. */
  model: ModelSettings | null;
}
