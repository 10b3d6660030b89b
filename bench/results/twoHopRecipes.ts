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
   * For swaps at both hops: a first block without an MLP gathers what is asked and looks nothing up, and edits stand at
   * the relation's own token too. With one head it leaves what it gathers nearly as a sum.
   */
  RELATIONS: {
    data: { entities: 20, relations: 10, factPhrasings: 0, trainShare: 0.2 },
    model: {
      ...{ ...MODEL, nHeads: 1, attentionOnlyBlocks: 1, initStd: 0.03, nCtx: 16 },
      ...{ steps: 3000, batchSize: 64, weightDecay: 3 },
    },
    analysis: { ...ANALYSIS, positions: 'RELATION', posttrainSteps: 2000 },
  },
  /** The published questions with their facts as texts, of the same model but for its heads and initial weights. */
  PUBLISHED: {
    data: null,
    model: {
      ...{ ...MODEL, attentionOnlyBlocks: 1, initStd: 0.12, nCtx: 20 },
      ...{ steps: 2000, batchSize: 96, weightDecay: 3, textShare: 0.25 },
    },
    analysis: { ...ANALYSIS, positions: 'RELATION', posttrainSteps: 2000 },
  },
} as const satisfies Record<string, TwoHopRecipe>;
