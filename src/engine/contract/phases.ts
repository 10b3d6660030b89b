/** The parts of a run's work by name, and which steps of training belong to which. */
import type { RunKind, RunSettings } from './runs.ts';

/** Every phase that a run may be in, with its meaning. */
export const PHASES = {
  QUEUED: 'Waits for a worker.',
  AWAITING_CHECKPOINT: 'Waits for the training to come to its checkpoint.',
  STARTING: 'A worker has taken it up and starts an engine.',
  PARTS: 'Its parts are being worked on.',
  TRAIN: 'A language model is trained.',
  CAPTURE: 'Activations of the model are captured.',
  PRETRAIN: 'The first stage of an SAE: reconstruction.',
  POSTTRAIN: 'The second stage: slots are bound to concepts.',
  ANSWER: 'The model answers the questions.',
  SAE: 'SAEs are trained for the hops.',
  BASELINE: 'An unsupervised SAE is trained to compare with.',
  SWEEP: 'Swaps are measured, cell by cell.',
  SWAP: 'Swaps are measured at the hops.',
  MEASURE: 'What was trained is measured.',
  EVALUATE: 'What was trained is judged on held-out prompts.',
  DONE: 'It has succeeded.',
} as const;

export type Phase = keyof typeof PHASES;

/** Phases that are no work: a run is in them before and after it. */
export const IDLE_PHASES: readonly Phase[] = ['QUEUED', 'AWAITING_CHECKPOINT', 'STARTING', 'DONE'];

/** A phase that a run will come to, with the first and the last of its training steps; null where it has none. */
export interface PlannedPhase {
  name: Phase;
  steps: { from: number; to: number } | null;
}

const untrained = (...names: Phase[]): PlannedPhase[] => names.map((name) => ({ name, steps: null }));
const trained = (name: Phase, before: number, count: number): PlannedPhase[] =>
  count > 0 ? [{ name, steps: { from: before + 1, to: before + count } }] : [];

/** What every run of a kind comes through, in order; phases that only some do come in between. */
const PLANS: { readonly [K in RunKind]: (settings: RunSettings[K]) => PlannedPhase[] } = {
  MODEL: ({ steps }) => [...trained('TRAIN', 0, steps), ...untrained('EVALUATE')],
  ALIGNMENT: ({ pretrain, posttrain }) => [
    ...untrained('CAPTURE'),
    ...trained('PRETRAIN', 0, pretrain.steps),
    ...trained('POSTTRAIN', pretrain.steps, posttrain.steps),
    ...untrained('EVALUATE'),
  ],
  BASELINE: ({ steps }) => [
    ...untrained('CAPTURE'),
    ...trained('PRETRAIN', 0, steps),
    ...untrained('EVALUATE'),
  ],
  SWAP_SWEEP: () => untrained('CAPTURE', 'SWEEP'),
  ALIGNMENT_SWEEP: () => untrained('PARTS'),
  GROKKING: () => untrained('PARTS'),
  CHECKPOINT_ANALYSIS: () => untrained('ANSWER', 'SAE', 'MEASURE'),
  HOP_SWAP: () => untrained('SWAP'),
  SAE_EVALUATION: () => untrained('CAPTURE', 'EVALUATE'),
  KNOWLEDGE: () => untrained('EVALUATE'),
};

export function plannedPhases<K extends RunKind>(kind: K, settings: RunSettings[K]): PlannedPhase[] {
  return PLANS[kind](settings);
}
