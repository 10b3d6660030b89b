/** Concept swaps on a trained model: as a sweep, which batches them, or one at a time. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { generateBiographies } from '../../../src/data/biography.ts';
import { runAlignment } from '../../../src/engine/align/align.ts';
import { captureResidPost } from '../../../src/engine/align/capture.ts';
import { resolveAlignmentSettings } from '../../../src/engine/contract/alignmentPresets.ts';
import type { EngineDataset } from '../../../src/engine/contract/dataset.ts';
import type { ModelRef } from '../../../src/engine/contract/model.ts';
import { modelSettings } from '../../../src/engine/contract/modelSettings.ts';
import type { SwapSweepJob, SweepCell } from '../../../src/engine/contract/swapSweep.ts';
import type { SweepSettings } from '../../../src/engine/contract/swapSweepSettings.ts';
import { isExpected, longestAnswer } from '../../../src/engine/edits/answers.ts';
import { applyEdits } from '../../../src/engine/edits/edit.ts';
import { conceptPairs, slotSwap } from '../../../src/engine/edits/editors.ts';
import { METHODS } from '../../../src/engine/edits/methods.ts';
import { runSwapSweep } from '../../../src/engine/edits/sweep.ts';
import { choosePrompts, drawSweepTrials, type SweepTrial } from '../../../src/engine/edits/trials.ts';
import { generate } from '../../../src/engine/model/generate.ts';
import { type LanguageModel, loadLanguageModel } from '../../../src/engine/model/languageModel.ts';
import { trainModel } from '../../../src/engine/model/train.ts';
import { loadSae, type Sae } from '../../../src/engine/sae/sae.ts';
import { quietContext } from '../../quietContext.ts';
import type { SweepWork } from '../work.ts';
import type { Task } from './task.ts';

const METHOD = 'LATENT_DECODE';
/** Swaps of a pair whose outcome is compared, at alpha 1. */
const CHECKED_PER_PAIR = 5;

export async function sweepTask(work: SweepWork, directory: string, variant: string): Promise<Task> {
  const dataset = generateBiographies({ people: 100, seed: 0 });
  const trained = await obtainPair(dataset, directory);
  return variant === 'one at a time' ? oneAtATime(dataset, trained) : batched(work, dataset, trained);
}

async function batched(
  { promptsPerPair, alphas }: SweepWork,
  dataset: EngineDataset,
  { model, sae }: Trained,
): Promise<Task> {
  const pairs = conceptPairs(dataset.concepts.length);
  const sweep = async (settings: SweepSettings): Promise<SweepCell[]> => {
    const cells: SweepCell[] = [];
    const job = {
      settings,
      model,
      sae,
      dataset,
      pairs,
      baseline: null,
      done: [],
    } satisfies Partial<SwapSweepJob>;
    await runSwapSweep(
      { kind: 'SWAP_SWEEP', ...job },
      quietContext('', { part: (cell) => cells.push(cell) }),
    );
    return cells;
  };
  const settings = sweepSettings(promptsPerPair, alphas);
  return {
    async check() {
      const [cell] = await sweep(sweepSettings(CHECKED_PER_PAIR, [1]));
      return cell!.pairs.map(({ successes }) => successes);
    },
    run: () => sweep(settings),
    units: (await drawnTrials(dataset, sae, settings)).length * alphas.length,
  };
}

/** The whole prompt runs twice for each swap: to read the activation, and with the edited one in its place. */
async function oneAtATime(dataset: EngineDataset, trained: Trained): Promise<Task> {
  const model = await loadLanguageModel(trained.model);
  const sae = await loadSae(trained.sae);
  const pairs = conceptPairs(dataset.concepts.length);
  const trials = (perPair: number) => drawnTrials(dataset, trained.sae, sweepSettings(perPair, [1]));
  const answer = (trial: SweepTrial) => swapAnswer(model, sae, trial, pairs[trial.pair]!);
  const sample = await trials(1);
  return {
    async check() {
      const successes = pairs.map(() => 0);
      for (const trial of await trials(CHECKED_PER_PAIR)) {
        const text = await answer(trial);
        if (isExpected(model, text, trial.expected)) successes[trial.pair]!++;
      }
      return successes;
    },
    async run() {
      for (const trial of sample) await answer(trial);
    },
    units: sample.length,
  };
}

async function swapAnswer(
  model: LanguageModel,
  sae: Sae,
  trial: SweepTrial,
  pair: SwapSweepJob['pairs'][number],
): Promise<string> {
  const { layer } = sae.settings;
  const breathe = async () => {};
  const tokens = model.tokenizer.encode(trial.prompt.prompt);
  const h = await captureResidPost(model, [tokens], { layer, breathe });
  const swap = METHODS[METHOD].prepare(sae, slotSwap(sae, pair));
  const edit = { layer, values: applyEdits(sae, h, [swap(1)]) };
  const maxNewTokens = longestAnswer(model, trial.expected) + 1;
  const [generation] = await generate(model, [tokens], { maxNewTokens, edit, breathe });
  return generation!.text;
}

async function drawnTrials(
  dataset: EngineDataset,
  saePath: string,
  settings: SweepSettings,
): Promise<SweepTrial[]> {
  const sae = await loadSae(saePath);
  try {
    const prompts = choosePrompts(dataset, sae.settings, settings);
    return drawSweepTrials(prompts, dataset, conceptPairs(dataset.concepts.length), settings);
  } finally {
    sae.dispose();
  }
}

/** On phrasings that the model learned from, for there are enough of them. */
function sweepSettings(promptsPerPair: number, alphas: number[]): SweepSettings {
  return {
    seed: 0,
    methods: [METHOD],
    alphas,
    controls: [],
    dasDimensions: [1],
    dasSteps: 1,
    population: 'SEEN',
    split: 'TRAIN',
    withheldOnly: false,
    knownOnly: false,
    placement: 'LAST_TOKEN',
    keepTrials: false,
    promptsPerPair,
    isolationPerPair: 0,
  };
}

interface Trained {
  model: ModelRef;
  /** Path of the SAE. */
  sae: string;
}

/** The model and the alignment of the defaults, trained once. */
async function obtainPair(dataset: EngineDataset, directory: string): Promise<Trained> {
  const record = join(directory, 'pair.json');
  const kept = await readFile(record, 'utf8').catch(() => null);
  if (kept) return JSON.parse(kept) as Trained;
  await mkdir(directory, { recursive: true });
  const context = quietContext(directory);
  const modelJob = { kind: 'MODEL', settings: modelSettings.parse({}), dataset } as const;
  const { weights, config, tokenizer } = await trainModel(modelJob, context);
  const model = { weights: weights.path, config, tokenizer };
  const settings = resolveAlignmentSettings({ preset: 'COUNTERFACTUAL' });
  const alignment = await runAlignment({ kind: 'ALIGNMENT', settings, model, dataset }, context);
  const trained = { model, sae: alignment.weights.path };
  await writeFile(record, JSON.stringify(trained));
  return trained;
}
