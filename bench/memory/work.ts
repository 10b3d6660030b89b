/** What a server does with a language model, of which the memory is measured. */
import { readWorldDataset } from '../../src/data/world.ts';
import { captureResidPost } from '../../src/engine/align/capture.ts';
import { resolveAlignmentSettings } from '../../src/engine/contract/alignmentPresets.ts';
import type { ModelRef } from '../../src/engine/contract/model.ts';
import type { NativeAddon } from '../../src/engine/contract/native.ts';
import type { SaeConfig } from '../../src/engine/contract/sae.ts';
import { ANSWER, askTrials, type Trial } from '../../src/engine/edits/answers.ts';
import { conceptPairs, createEditor, slotSwap } from '../../src/engine/edits/editors.ts';
import { Knowledge } from '../../src/engine/edits/knowledge.ts';
import { generate } from '../../src/engine/model/generate.ts';
import { type LanguageModel, loadLanguageModel } from '../../src/engine/model/languageModel.ts';
import { promptedBy } from '../../src/engine/model/prompting.ts';
import { initSae } from '../../src/engine/sae/autoencoder.ts';
import { Sae } from '../../src/engine/sae/sae.ts';

export interface MemoryOrder {
  native: NativeAddon;
  model: ModelRef;
  work: MemoryWork;
}
export type MemoryWork = 'ENGINE' | 'LOADED' | 'GENERATED' | 'CAPTURED' | 'ASKED' | 'SWAPPED';

const LAYER = 21;
const idle = async () => {};

interface Work {
  title: string;
  /** Returns the seconds of processors that it took, loading apart: a load beside it does not change them much. */
  run(order: MemoryOrder): Promise<number>;
}

export const WORKS: Record<MemoryWork, Work> = {
  ENGINE: { title: 'Node with TensorFlow, no model', run: async () => 0 },
  LOADED: { title: 'SmolLM2 loaded', run: withModel(async () => {}) },
  GENERATED: {
    title: 'greedy generation, 16 × (64 + 64) tokens',
    run: withModel(async (model) => {
      await generate(model, sequences(16, 64), { maxNewTokens: 64 });
    }),
  },
  CAPTURED: {
    title: `block ${LAYER} captured for 64 × 32 tokens`,
    run: withModel(async (model) => {
      await captureResidPost(model, sequences(64, 32), { layer: LAYER });
    }),
  },
  ASKED: {
    title: '128 prompts asked behind a few-shot prefix',
    run: withModel(async (alone) => {
      const world = await readWorldDataset({});
      await new Knowledge(promptedBy(alone, world), idle).ask(world.prompts.slice(0, 128));
    }),
  },
  SWAPPED: { title: '400 swaps at every token of the answer, behind the prefix', run: withModel(swap) },
};

function withModel(use: (model: LanguageModel) => Promise<void>): Work['run'] {
  return async ({ model }) => {
    const loaded = await loadLanguageModel(model);
    const started = process.cpuUsage();
    await use(loaded);
    const { user, system } = process.cpuUsage(started);
    return (user + system) / 1e6;
  };
}

/** Tokens that are none of the special ones. */
function sequences(count: number, length: number): number[][] {
  return Array.from({ length: count }, (_, i) =>
    Array.from({ length }, (_, t) => 1000 + ((31 * i + 17 * t) % 20_000)),
  );
}

/** Each prompt's concept for the next one; the SAE is as it begins, for what it writes takes no more memory than the right thing. */
async function swap(alone: LanguageModel): Promise<void> {
  const world = await readWorldDataset({});
  const model = promptedBy(alone, world);
  const nConcepts = world.concepts.length;
  const pairs = conceptPairs(nConcepts);
  const prompts = world.prompts.filter((_, i) => i % 3 === 0).slice(0, 400);
  const trials = prompts.map(({ prompt, concepts, answer }): Trial => {
    const source = concepts[0]!;
    const pair = pairs.findIndex((p) => p.source === source && p.target === (source + 1) % nConcepts);
    return {
      ...{ pair, tokens: model.asking.prompt(prompt), expected: [answer!] },
      h: new Float32Array(model.config.dModel).fill(1),
    };
  });
  const sae = createSae(model, nConcepts);
  const swaps = pairs.map((pair) => slotSwap(sae, pair));
  const editor = createEditor({ edited: 'CONCEPT', sae, methods: ['LATENT_DELTA'], swaps });
  const asked = askTrials(model, LAYER, trials);
  await ANSWER.ANSWER(asked, { editor, method: 'LATENT_DELTA', alpha: 1 }, idle);
  asked.dispose();
}

function createSae({ config: { dModel } }: LanguageModel, nConcepts: number): Sae {
  const config: SaeConfig = {
    ...{ dModel, nConcepts, nFree: 1024, activation: 'RELU' as const, k: 32 },
    valueHeads: null,
  };
  return new Sae({
    config,
    settings: resolveAlignmentSettings({ preset: 'COUNTERFACTUAL', layer: LAYER }),
    concepts: Array.from({ length: nConcepts }, (_, i) => String(i)),
    bestStep: 0,
    weights: initSae(config, 0),
    normalization: { mean: new Float32Array(dModel), scale: 1 },
    conceptMeans: new Float32Array(nConcepts * dModel),
  });
}
