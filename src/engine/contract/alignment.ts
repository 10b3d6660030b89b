/** An alignment job: what it takes and what it returns. The work itself is in `align.ts`. */

import type { AlignmentSettings } from './alignmentSettings.ts';
import type { BaselineSettings } from './baselineSettings.ts';
import type { CorpusRef } from './corpus.ts';
import type { EngineDataset, Split } from './dataset.ts';
import type { LatentSurvey } from './latents.ts';
import type { ModelRef } from './model.ts';
import type { WrittenFile } from './writtenFile.ts';

export interface AlignmentJob {
  kind: 'ALIGNMENT';
  settings: AlignmentSettings;
  model: ModelRef;
  dataset: EngineDataset;
  /** Path of the SAE to begin with, whose free latents the settings describe; absent where weights are drawn. */
  pretrained?: string | undefined;
  /** Where the settings ask for texts. */
  corpus?: CorpusRef | undefined;
}

/** Trains an SAE without labels, to compare an alignment with. */
export interface BaselineJob {
  kind: 'BASELINE';
  settings: BaselineSettings;
  model: ModelRef;
  dataset: EngineDataset;
  /** Where the settings ask for texts. */
  corpus?: CorpusRef | undefined;
}

/** Binding and reconstruction on one split; definitions in METHOD: binding accuracy, matrix, diagonal, FVU, L0. */
export interface SplitMeasures {
  split: Split;
  /** Number of prompts measured. */
  examples: number;
  accuracy: number;
  top3: number;
  top5: number;
  diagonalAccuracy: number;
  diagonalStrength: number;
  /** `[concept][slot]`, share of the concept's prompts whose strongest slot is that slot. */
  matrix: number[][];
  /** Binding accuracy of each concept's prompts. */
  conceptAccuracy: number[];
  /** Mean over the prompts of the strongest slot less the second strongest; null where there is but one. */
  slotMargin: number | null;
  /** By concept, over all latents; null of a concept without prompts, or on whose prompts none is above 0 on the mean. */
  concentration: (Concentration | null)[];
  /** The same over the slots alone; null of an SAE without slots. */
  slotConcentration: (Concentration | null)[] | null;
  /** Share of prompts whose answer's first token the bound slot's value head names; null without trained heads. */
  valueAccuracy: number | null;
  /** The same of each concept's prompts, 0 where there are none. */
  conceptValueAccuracy: number[] | null;
  fvu: number;
  l0: number;
  /** Share of free latents that never fired on this split, 0–1. */
  deadLatents: number;
}

/** Over how many latents a concept is spread; `align/concentration.ts` defines it. */
export interface Concentration {
  /** Effective number of latents, from 1 on. */
  effFeat: number;
  /** Share of the largest, 0–1. */
  top1Conc: number;
}

/** The metric that follows one concept's binding accuracy on the validation prompts through post-training. */
export function bindingMetric(conceptKey: string): string {
  return `validation/binding/${conceptKey}`;
}

/** One slot's page: what drives it and what it writes. */
export interface SlotReport {
  /** Latent index, `nFree + concept`. */
  index: number;
  concept: number;
  /** Strongest prompts on `TEST_OOD` (or `TRAIN` where it is empty), descending. */
  topExamples: { promptId: string; activation: number }[];
  /** Logit lens of the decoder column: tokens it raises most, descending. */
  topTokens: { token: string; score: number }[];
}

/** Swap success of one latent choice at one alpha on one population of entities. */
export interface SwapMeasure {
  /** `CONCEPT`: the bound slots; `RANDOM_LATENT`: the same edit on random free latents; the others as in a sweep. */
  control: 'CONCEPT' | 'RANDOM_LATENT' | 'TRUE_ACTIVATION' | 'SUM';
  /** `VALIDATION`: where alpha is chosen; `UNSEEN`: entities the SAE never saw; `SEEN`: entities it was trained on. */
  population: 'VALIDATION' | 'UNSEEN' | 'SEEN';
  /** Which phrasings were asked. */
  split: Split;
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
}

export const KNOCK_EDITS = ['KNOCK_OUT', 'KNOCK_IN'] as const;
export type KnockEdit = (typeof KNOCK_EDITS)[number];

/** Change of answers' log-odds, in nats; null where no answer was measured. */
export interface AnswerChange {
  answers: number;
  change: number | null;
}

/** What one slot does to answers: set to 0 on prompts about its concept, or to 1 on prompts about others. */
export interface SlotKnock {
  split: Split;
  /** Its concept. */
  slot: number;
  edit: KnockEdit;
  prompts: number;
  /** Mean change of the log-odds of the first token of the answer that is asked for. */
  asked: AnswerChange;
  /** The same of the entity's value for each concept, over the prompts that ask for something else. */
  others: AnswerChange[];
}

/** A trained SAE's file. */
export interface SaeFile {
  weights: WrittenFile;
  dModel: number;
}

/** What is measured of every trained SAE. */
export interface SaeMeasures {
  measures: SplitMeasures[];
  conceptLatents: ConceptLatent[];
  faithfulness: Faithfulness[];
  /** Activations that were left out of training as sinks. */
  sinks: number;
}

/** What is measured of an SAE when its training ends, so that nobody has to wait for its latents. */
export interface TrainedMeasures extends SaeMeasures {
  survey: LatentSurvey;
}

export interface AlignmentResult extends SaeFile, TrainedMeasures {
  kind: 'ALIGNMENT';
  /** Post-training step of the kept (best) weights. */
  bestStep: number;
  slots: SlotReport[];
  knocks: SlotKnock[];
  swaps: SwapMeasure[];
  /** Alpha with the most successes on validation, for `CONCEPT`; null when the dataset allows no swap. */
  chosenAlpha: number | null;
}

export interface BaselineResult extends SaeFile, TrainedMeasures {
  kind: 'BASELINE';
}

/** The latent that stands for a concept: its slot, or the best single one of an unsupervised SAE. */
export interface ConceptLatent {
  concept: number;
  /** Latent index in the SAE, free latents first. */
  latent: number;
  /** `max(0, 2 · AUROC − 1)` of its activation on the concept's prompts against all others, 0–1, on TRAIN prompts. */
  separability: number;
  /** The same on TEST_OOD prompts; null where there are none. */
  heldOutSeparability: number | null;
  /** Mean activation over the concept's TRAIN prompts on which it fires; 0 where it never does. */
  meanActivation: number;
  /** How many latents it takes to tell the concept nearly as well as all of them do; see `conceptLatents.ts`. */
  fragmentation: number;
}

/** What stands in the place of the activation at the last prompt token. */
export type Replacement = 'CLEAN' | 'RECONSTRUCTION' | 'MEAN' | 'ZERO';

/** How the language model answers with that replacement, on one split. */
export interface Faithfulness {
  split: Split;
  replacement: Replacement;
  prompts: number;
  /** Prompts whose whole greedy answer is right. */
  correct: number;
  /** The same by concept. */
  concepts: { prompts: number; correct: number }[];
  /** Of the answers' tokens, the end token left out, in nats a token. */
  crossEntropy: number;
}
