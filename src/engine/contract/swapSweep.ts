/** A swap-sweep job: what it takes, the parts it hands over, and what it returns. The work itself is in `sweep.ts`. */
import type { EngineDataset } from './dataset.ts';
import type { ModelRef } from './model.ts';
import type { CellMethod } from './swap.ts';
import { type SweepControl, type SweepSettings, sweepControl } from './swapSweepSettings.ts';
import type { KeptAnswers } from './sweepTrials.ts';

/** An unsupervised SAE and the latents that stand for the concepts in it. */
export interface SweepBaseline {
  /** Path of its `.safetensors`. */
  sae: string;
  /** By concept; null where they are still to be found. */
  latents: readonly { latent: number; meanActivation: number }[] | null;
}

/** What a sweep's run keeps: its settings and the pairs that they came to. */
export interface StoredSweepSettings extends SweepSettings {
  /** Source and target concepts by index. */
  pairs: readonly { source: number; target: number }[];
}

/** What the cells of a sweep edit. */
export const SWEEP_EDITS = ['CONCEPT', ...sweepControl.options] as const;

export interface SwapSweepJob {
  kind: 'SWAP_SWEEP';
  settings: SweepSettings;
  model: ModelRef;
  /** Path of the alignment's `.safetensors`. */
  sae: string;
  /** Null where there is none yet: the job trains one, if its control is asked for. */
  baseline: SweepBaseline | null;
  dataset: EngineDataset;
  pairs: StoredSweepSettings['pairs'];
  /** Positions of the cells that an earlier attempt has handed over. */
  done: readonly number[];
}

/** One method at one alpha, of the slots or of a control: counts over all pairs. */
export interface SweepCell {
  /** Place in the order of work. */
  position: number;
  edited: 'CONCEPT' | SweepControl;
  method: CellMethod;
  alpha: number;
  trials: number;
  successes: number;
  /** Swaps whose answer is a part of the one expected, or the other way round: the looser match of the paper's authors. */
  looseSuccesses: number;
  /** Of the swaps that fail, those whose answer is a value of the target concept. */
  categoryKept: number;
  /** Of the trials, the swaps of which the model answers both prompts right unedited: the swap's own and its target's. */
  knownTrials: number;
  knownSuccesses: number;
  /** Swaps that were not tried because the model does not know them; 0 without `knownOnly`. */
  leftOut: number;
  /** Armed swaps on prompts about other concepts, and those that left the answer as it was. */
  otherPrompts: number;
  otherPromptsKept: number;
  /** The same on texts that state nothing of the source. */
  texts: number;
  textsKept: number;
  /** The same on texts that state the source's fact. */
  statements: number;
  statementsKept: number;
  pairs: SweepPair[];
  /** Its swaps one by one, where the settings keep them. */
  kept?: KeptAnswers;
}

/** A cell's counts of one pair. */
export interface SweepPair
  extends Pick<
    SweepCell,
    'trials' | 'successes' | 'looseSuccesses' | 'categoryKept' | 'knownTrials' | 'knownSuccesses' | 'leftOut'
  > {
  /** Concepts by index. */
  source: number;
  target: number;
}

interface Counted {
  trials: number;
  successes: number;
}

/** How a linear probe reads the concept of the prompts that the sweep asks, beside the slots. */
export interface ProbeReading {
  /** L2 penalty, the one of those tried that read the prompts best that weights are chosen by. */
  penalty: number;
  chosenBy: Counted;
  /** Prompts of the sweep's population and phrasings, and those whose concept the probe gives most. */
  probe: Counted;
  /** The same of the slots: the strongest is the concept's. */
  slots: Counted;
}

/** What DAS was trained to. */
export interface DasTraining {
  /** Of the subspace that the sweep keeps. */
  dimensions: number;
  /** By dimensions, in the order of the settings: swaps on VALIDATION entities, or on SEEN ones where there are none. */
  tried: ({ dimensions: number; loss: number } & Counted)[];
}

export interface SwapSweepResult {
  kind: 'SWAP_SWEEP';
  /** Null without the control. */
  probe: ProbeReading | null;
  das: DasTraining | null;
  /** Swaps and isolation checks that were run through the model, this attempt's alone. */
  edits: number;
  /** Seconds that they took. */
  seconds: number;
}
