/** The analysis of one checkpoint of a two-hop model: what it takes and what it returns. */

import type { GrokSettings } from './analysisSettings.ts';
import type { EngineDataset } from './dataset.ts';
import type { ModelRef } from './model.ts';
import type { WrittenFile } from './writtenFile.ts';

export interface CheckpointAnalysisJob {
  kind: 'CHECKPOINT_ANALYSIS';
  settings: GrokSettings;
  /** The model as it was at one step of its training. */
  model: ModelRef;
  dataset: EngineDataset;
  /** Models of earlier steps that are to be read by this one's SAEs too. */
  earlier: readonly { step: number; model: ModelRef }[];
}

/** How the hops bind at a step of training. */
export interface HopsAtStep {
  step: number;
  /** Hop 1, then hop 2. */
  hops: HopPoint[];
}

/** How the slots of one hop bind on held-out questions, and what hangs on them. */
export interface HopPoint {
  /** 1: at the token that predicts E2, bound to R1. 2: at E2, which predicts E3, bound to R2. */
  hop: 1 | 2;
  /** Share of questions with the relation's slot among the 1, 3, 5 strongest. */
  top1: number;
  top3: number;
  top5: number;
  /** Mean of the row-normalised diagonal of `matrix`. */
  diagonalStrength: number;
  /** `[concept][slot]`, share of the relation's questions whose strongest slot is that slot; zeros without questions. */
  matrix: number[][];
  /** How much held-out accuracy falls when this hop's slots are set to 0, 0–1; negative where it rises. */
  ablationEffect: number;
  /** Decoder columns of the slots, `[nConcepts][dModel]`. */
  directions: number[][];
}

/** What is measured at one checkpoint. */
export interface GrokkingPoint {
  /** Two-hop questions of TRAIN and of VALIDATION asked, and those whose whole answer is right. */
  train: { questions: number; correct: number };
  heldOut: { questions: number; correct: number };
  /** Single facts asked, and those known; null where the dataset states none. */
  oneHop: { questions: number; correct: number } | null;
  /** Of the answers of TRAIN questions, nats a token. */
  loss: number;
  /** Euclidean norm of all weights together. */
  weightNorm: number;
  /** Mean over held-out questions: logit of the answer's last token minus the best other's. */
  logitMargin: number;
  /** Hop 1, then hop 2. */
  hops: HopPoint[];
}

export interface CheckpointAnalysisResult {
  kind: 'CHECKPOINT_ANALYSIS';
  point: GrokkingPoint;
  /** The SAE of both hops, or that of hop 1 and that of hop 2. */
  saes: WrittenFile[];
  /** The job's `earlier` models, in their order. */
  byItsSaes: HopsAtStep[];
}
