/** One alignment of the model's knowledge, and swaps of it beside controls, on what the model knows. */

import { labelSayings, listSayings } from '../../src/engine/align/answerTokens.ts';
import { measureBinding } from '../../src/engine/align/bind.ts';
import { type CapturedPopulations, type CapturedPrompt, shareOut } from '../../src/engine/align/captured.ts';
import { type Populations, splitPopulations } from '../../src/engine/align/population.ts';
import { listSilent } from '../../src/engine/align/silent.ts';
import { trainOnPrompts } from '../../src/engine/align/training.ts';
import { learnedOf, type MoreActivations } from '../../src/engine/align/trainingRows.ts';
import { resolveAlignmentSettings } from '../../src/engine/contract/alignmentPresets.ts';
import type {
  AlignmentSettings,
  AlignmentSettingsInput,
  Preset,
} from '../../src/engine/contract/alignmentSettings.ts';
import type { EngineDataset } from '../../src/engine/contract/dataset.ts';
import type { JobContext } from '../../src/engine/contract/protocol.ts';
import type { LanguageModel } from '../../src/engine/model/languageModel.ts';
import { joinRows, stackRows } from '../../src/engine/rows.ts';
import { Sae } from '../../src/engine/sae/sae.ts';
import type { KeptKnowledge } from './knowledge.ts';
import type { Readings } from './readings.ts';
import { measureSwaps, type SwapFigures, type SwapPlan } from './swaps.ts';

/** How entities are shared out, and where slots learn; no value heads. */
const SHARED = {
  ...{ layer: 21, positions: 'ANSWER', unseenShare: 0.27, validationShare: 0.15 },
} satisfies AlignmentSettingsInput;

/** By preset: the paper's terms alone; ours with a quarter of the free latents and far more silence. */
export const RECIPES: Record<Exclude<Preset, 'AUTHORS'>, AlignmentSettingsInput> = {
  PAPER: { ...SHARED, preset: 'PAPER', weights: { value: 0 } },
  COUNTERFACTUAL: {
    ...SHARED,
    preset: 'COUNTERFACTUAL',
    nFree: 256,
    silentRows: 256,
    weights: { silence: 40, value: 0 },
    posttrain: { steps: 2000 },
  },
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
  seconds: Record<'reading' | 'training' | 'swaps', number>;
}

export interface Studied {
  /** Behind the dataset's prefix. */
  model: LanguageModel;
  /** The same without it, for texts. */
  alone: LanguageModel;
  dataset: EngineDataset;
  knowledge: KeptKnowledge;
  readings: Readings;
  /** Texts that nothing was trained on. */
  texts: readonly string[];
}

export async function studySeed(
  studied: Studied,
  input: AlignmentSettingsInput,
  plan: SwapPlan,
  context: JobContext,
): Promise<Study> {
  const clock = startClock();
  const { model, dataset } = studied;
  const settings = resolveAlignmentSettings(input);
  const populations = splitPopulations(dataset, settings);
  const asked = {
    ...dataset,
    prompts: dataset.prompts.filter(
      ({ split, entity }) => split === 'TRAIN' || populations.populationOf(entity) === 'UNSEEN',
    ),
  };
  const captured = await readPrompts(studied, splitPopulations(asked, settings), settings);
  const more = await readMore(studied, asked, captured, settings);
  const reading = clock();
  const { stored, sinks } = await trainOnPrompts(
    { model, dataset: asked, captured, more, settings, slots: true },
    context,
    () => {},
  );
  const training = clock();
  const sae = new Sae(stored);
  try {
    return {
      seed: settings.seed,
      settings: input,
      entities: populations.entities,
      binding: { TRAIN: bindingOn(sae, captured, 'TRAIN'), TEST_OOD: bindingOn(sae, captured, 'TEST_OOD') },
      sinks,
      texts: await firingOn(sae, studied, settings),
      swaps: await measureSwaps({ ...studied, dataset: asked, sae, captured }, plan, context),
      seconds: { reading, training, swaps: clock() },
    };
  } finally {
    sae.dispose();
  }
}

/** Seconds since it was asked before. */
function startClock(): () => number {
  let last = performance.now();
  return () => {
    const before = last;
    last = performance.now();
    return (last - before) / 1000;
  };
}

/** As `capturePrompts`. */
async function readPrompts(
  { model, readings }: Studied,
  populations: Populations,
  { layer }: AlignmentSettings,
): Promise<CapturedPopulations> {
  const sequences = populations.prompts.map(({ prompt }) => model.asking.prompt(prompt));
  const positions = sequences.map((tokens) => [tokens.length - 1]);
  const h = await readings.read({ reader: model, sequences, positions }, layer);
  return shareOut(populations, h, model.config.dModel);
}

/** As `captureMore`. */
async function readMore(
  { model, readings }: Studied,
  dataset: EngineDataset,
  captured: CapturedPopulations,
  settings: AlignmentSettings,
): Promise<MoreActivations> {
  const { learned } = learnedOf({ captured, model });
  const sayings = settings.positions === 'ANSWER' ? listSayings(model, learned, dataset.facts) : [];
  const sequences = sayings.map(({ prompt, tokens }) => [
    ...model.asking.prompt(learned[prompt]!.prompt),
    ...tokens,
  ]);
  const positions = sayings.map(({ tokens }, i) => [...sequences[i]!.keys()].slice(-tokens.length));
  const h = await readings.read({ reader: model, sequences, positions }, settings.layer);
  const silent: Float32Array[] = [];
  if (settings.weights.silence > 0)
    for (const reading of listSilent(model, dataset, learned, settings))
      silent.push(await readings.read(reading, settings.layer));
  return {
    answers: settings.positions === 'ANSWER' ? { h, ...labelSayings(sayings) } : null,
    silent: silent.length > 0 ? joinRows(silent) : null,
  };
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
  { alone, texts, readings }: Studied,
  { layer }: AlignmentSettings,
): Promise<Study['texts']> {
  const { dModel, nConcepts } = sae.config;
  const sequences = texts.map((text) => alone.tokenizer.encode(text));
  const positions = sequences.map((tokens) => [...tokens.keys()]);
  const h = await readings.read({ reader: alone, sequences, positions }, layer);
  const slots = sae.slots(h);
  const tokens = h.length / dModel;
  let firing = 0;
  for (let row = 0; row < tokens; row++) {
    const isOn = slots.subarray(row * nConcepts, (row + 1) * nConcepts).some((value) => value > 0.5);
    if (isOn && !sae.isSink(h.subarray(row * dModel, (row + 1) * dModel))) firing++;
  }
  return { tokens, firing };
}
