/** The evaluation of an SAE that is there, on any dataset: what it takes and what it returns. */
import { z } from 'zod';
import type { SaeMeasures } from './alignment.ts';
import type { EngineDataset } from './dataset.ts';
import type { LatentSurvey } from './latents.ts';
import type { ModelRef } from './model.ts';
import { seed } from './seed.ts';

/** Nothing about it can be set; what is sampled is by the seed of the SAE. */
export const saeEvaluationSettings = z.object({ seed });
export type SaeEvaluationSettings = z.output<typeof saeEvaluationSettings>;

export interface SaeEvaluationJob {
  kind: 'SAE_EVALUATION';
  settings: SaeEvaluationSettings;
  model: ModelRef;
  dataset: EngineDataset;
  /** Path of the SAE's `.safetensors`. */
  sae: string;
}

export interface SaeEvaluationResult extends Omit<SaeMeasures, 'sinks'> {
  kind: 'SAE_EVALUATION';
  survey: LatentSurvey;
}
