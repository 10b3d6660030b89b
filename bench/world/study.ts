/** One alignment of the model's knowledge, and swaps of it beside every control, on what the model knows. */

import { measureBinding } from '../../src/engine/align/bind.ts';
import { captureResidPost } from '../../src/engine/align/capture.ts';
import {
  type CapturedPopulations,
  type CapturedPrompt,
  capturePrompts,
} from '../../src/engine/align/captured.ts';
import { splitPopulations } from '../../src/engine/align/population.ts';
import { trainOnPrompts } from '../../src/engine/align/training.ts';
import { resolveAlignmentSettings } from '../../src/engine/contract/alignmentPresets.ts';
import type {
  AlignmentSettings,
  AlignmentSettingsInput,
} from '../../src/engine/contract/alignmentSettings.ts';
import type { EngineDataset } from '../../src/engine/contract/dataset.ts';
import type { JobContext } from '../../src/engine/contract/protocol.ts';
import type { LanguageModel } from '../../src/engine/model/languageModel.ts';
import { stackRows } from '../../src/engine/rows.ts';
import { Sae } from '../../src/engine/sae/sae.ts';
import type { KeptKnowledge } from './knowledge.ts';
import { measureSwaps, type SwapFigures } from './swaps.ts';

/** A quarter of the default's free latents, far more silence, and every token of the answer. */
export const RECIPE: AlignmentSettingsInput = {
  preset: 'COUNTERFACTUAL',
  positions: 'ANSWER',
  layer: 21,
  nFree: 256,
  silentRows: 256,
  weights: { silence: 40, value: 0 },
  posttrain: { steps: 2000 },
  unseenShare: 0.27,
  validationShare: 0.15,
};

export interface Study {
  seed: number;
  settings: AlignmentSettingsInput;
  entities: Record<string, number>;
  /** On unseen entities. */
  binding: Record<'TRAIN' | 'TEST_OOD', number>;
  sinks: number;
  /** Tokens of texts that ask nothing, and those at which a slot is above 0.5. */
  texts: { tokens: number; firing: number };
  swaps: SwapFigures;
  seconds: number;
}

export interface Studied {
  /** Behind the dataset's prefix. */
  model: LanguageModel;
  /** The same without it, for texts. */
  alone: LanguageModel;
  dataset: EngineDataset;
  knowledge: KeptKnowledge;
  /** Texts that nothing was trained on. */
  texts: readonly string[];
}

export async function studySeed(
  studied: Studied,
  seed: number,
  changes: AlignmentSettingsInput,
  context: JobContext,
): Promise<Study> {
  const started = performance.now();
  const { model, dataset } = studied;
  const settings = resolveAlignmentSettings({
    ...RECIPE,
    ...changes,
    seed,
    weights: { ...RECIPE.weights, ...changes.weights },
  });
  const populations = splitPopulations(dataset, settings);
  const asked = {
    ...dataset,
    prompts: dataset.prompts.filter(
      ({ split, entity }) => split === 'TRAIN' || populations.populationOf(entity) === 'UNSEEN',
    ),
  };
  const captured = await capturePrompts(model, splitPopulations(asked, settings), settings, context);
  const { stored, sinks } = await trainOnPrompts(
    { model, dataset: asked, captured, settings, slots: true },
    context,
    () => {},
  );
  const sae = new Sae(stored);
  try {
    return {
      seed,
      settings: { ...RECIPE, ...changes },
      entities: populations.entities,
      binding: { TRAIN: bindingOn(sae, captured, 'TRAIN'), TEST_OOD: bindingOn(sae, captured, 'TEST_OOD') },
      sinks,
      texts: await firingOn(sae, studied, settings),
      swaps: await measureSwaps({ ...studied, dataset: asked, sae, captured }, context),
      seconds: (performance.now() - started) / 1000,
    };
  } finally {
    sae.dispose();
  }
}

function bindingOn(sae: Sae, { UNSEEN }: CapturedPopulations, split: CapturedPrompt['split']): number {
  const own = UNSEEN.filter((prompt) => prompt.split === split);
  const slots = sae.slots(stackRows(own, sae.config.dModel));
  return measureBinding(
    slots,
    own.map(({ concepts }) => concepts[0]!),
    sae.config.nConcepts,
  ).accuracy;
}

/** Sinks apart, where nothing fires. */
async function firingOn(
  sae: Sae,
  { alone, texts }: Studied,
  { layer }: AlignmentSettings,
): Promise<Study['texts']> {
  const { dModel, nConcepts } = sae.config;
  const sequences = texts.map((text) => alone.tokenizer.encode(text));
  const positions = sequences.map((tokens) => [...tokens.keys()]);
  const h = await captureResidPost(alone, sequences, { layer, positions, batchSize: 16 });
  const slots = sae.slots(h);
  const tokens = h.length / dModel;
  let firing = 0;
  for (let row = 0; row < tokens; row++) {
    const isOn = slots.subarray(row * nConcepts, (row + 1) * nConcepts).some((value) => value > 0.5);
    if (isOn && !sae.isSink(h.subarray(row * dModel, (row + 1) * dModel))) firing++;
  }
  return { tokens, firing };
}
