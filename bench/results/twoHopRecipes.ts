/** Settings found for the figures of two-hop runs; each a starting point of its own. */
import type { TwoHopSettingsInput } from '../../src/data/two-hop-generator.ts';
import type { GrokSettingsInput } from '../../src/engine/contract/analysisSettings.ts';
import type { ModelSettingsInput } from '../../src/engine/contract/modelSettings.ts';

export interface TwoHopRecipe {
  /** What to generate; null for the published data. */
  data: TwoHopSettingsInput | null;
  model: ModelSettingsInput;
  analysis: GrokSettingsInput;
}

/** One SAE for each position: behind the question, where R1 is bound, R2 is known too. */
const ANALYSIS = { layer: 0, shared: false, posttrainSteps: 1000 } as const satisfies GrokSettingsInput;
const MODEL = { nLayers: 2, learningRate: 1e-3 } as const satisfies ModelSettingsInput;

export const TWO_HOP_RECIPES = {
  /**
   * Generalization after memorization: few questions, no text, small initial weights and a strong decay. With one head
   * the first block leaves E2 and the relation behind E2 nearly as a sum, which is what a swap can edit.
   */
  GROKKING: {
    data: { entities: 20, relations: 10, factPhrasings: 0, trainShare: 0.15 },
    model: { ...MODEL, nHeads: 1, initStd: 0.03, nCtx: 16, steps: 3000, batchSize: 64, weightDecay: 3 },
    analysis: ANALYSIS,
  },
  /** The published questions with their facts as texts; accuracy on train and on held-out questions rises together. */
  PUBLISHED: {
    data: null,
    model: { ...MODEL, initStd: 0.12, nCtx: 20, steps: 2000, batchSize: 96, weightDecay: 3, textShare: 0.25 },
    analysis: ANALYSIS,
  },
} as const satisfies Record<string, TwoHopRecipe>;
