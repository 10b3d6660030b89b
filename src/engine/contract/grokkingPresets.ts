/** Settings of data, model, checkpoints and analysis that are known to grok; each a starting point of its own. */
import type { z } from 'zod';
import type { GrokSettingsInput } from './analysisSettings.ts';
import { namedEnum } from './describe.ts';
import type { CheckpointSchedule } from './grokkingSettings.ts';
import type { ModelSettingsInput } from './modelSettings.ts';

export const grokkingPreset = namedEnum(
  'GrokkingPreset',
  'Settings of two-hop runs that are known to grok.',
  {
    GROKKING:
      'Answers `E2 E3`: few questions, a batch of all of them, large initial weights and a small decay at a constant rate. The model answers all training questions some twenty times as many steps before it answers held-out ones, which it comes to by a long climb on a logarithmic axis.',
    IMPLICIT:
      'Answers `E3` alone, questions of three words: both hops are read at the last token. Held-out accuracy stays flat for more than ten times the steps of memorization, and then rises sharply.',
  },
);
export type GrokkingPreset = z.output<typeof grokkingPreset>;

interface Preset {
  /** Of `generateTwoHopDataset`. */
  data: { entities: number; relations: number; factPhrasings: number; trainShare: number } & (
    | { answers: 'E2_E3'; wording: 'ENTITY_LAST' }
    | { answers: 'E3'; wording: 'BARE' }
  );
  model: ModelSettingsInput;
  checkpoints: CheckpointSchedule;
  analysis: GrokSettingsInput;
}

/** What both have: 20 people a level, 10 relations, two blocks, AdamW without decay of the rate. */
const DATA = { entities: 20, relations: 10, factPhrasings: 0 } as const;
const MODEL = {
  ...{ nLayers: 2, dModel: 64, nCtx: 16, initStd: 0.2, learningRate: 2e-3, warmupSteps: 10 },
  ...{ finalLearningRateShare: 1, beta2: 0.98, clipNorm: 1 },
} as const satisfies ModelSettingsInput;
/** Dense where training questions are learnt, then never further apart than a tenth of what lies between the onsets. */
const STEPS = [
  ...[0, 25, 50, 75, 100, 125, 150, 200, 300, 450, 700, 1000, 1250, 1500, 1750, 2000, 2250, 2500, 2750],
  ...[3000, 3250, 3500, 3750, 4000],
];
/** Some seeds come there behind step 4,000. */
const LATE_STEPS = [4300, 4600, 5000, 5500, 6000];
const ANALYSIS = { layer: 0, shared: false } as const satisfies GrokSettingsInput;

export const GROKKING_PRESETS: Record<GrokkingPreset, Preset> = {
  GROKKING: {
    data: { ...DATA, trainShare: 0.13, answers: 'E2_E3', wording: 'ENTITY_LAST' },
    model: { ...MODEL, nHeads: 1, steps: 6000, batchSize: 260, weightDecay: 0.5 },
    checkpoints: { steps: [...STEPS, ...LATE_STEPS] },
    analysis: ANALYSIS,
  },
  IMPLICIT: {
    data: { ...DATA, trainShare: 0.7, answers: 'E3', wording: 'BARE' },
    model: { ...MODEL, nHeads: 4, steps: 4000, batchSize: 400, weightDecay: 1.5 },
    checkpoints: { steps: STEPS },
    analysis: ANALYSIS,
  },
};
