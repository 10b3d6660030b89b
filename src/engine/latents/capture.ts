/** The activations on which latents are looked at: captured once, kept for as long as the SAE is loaded. */
import { invalidInput } from '../../errors.ts';
import { type CapturedPopulations, captureLastTokens } from '../align/captured.ts';
import { type Populations, splitPopulations } from '../align/population.ts';
import type { EngineDataset, Prompt } from '../contract/dataset.ts';
import type { LatentPrompt } from '../contract/latents.ts';
import type { ModelConfig } from '../contract/model.ts';
import type { LoadedPair } from '../loaded.ts';
import { computes } from '../model/captured.ts';
import type { LanguageModel } from '../model/languageModel.ts';
import { stackRows } from '../rows.ts';
import type { Sae } from '../sae/sae.ts';

export interface CapturedPrompts {
  datasetId: string;
  /** Of the dataset; those of an imported SAE are not in its file. */
  nConcepts: number;
  prompts: readonly LatentPrompt[];
  /** Raw activations at the last token, `[prompts, dModel]`. */
  h: Float32Array;
}

const MAX_PROMPTS = 8192;
/** Weights times prompts: some twenty seconds on two cores, so that a caller does not wait in vain. */
const MAX_WORK = 1e11;

const captures = new WeakMap<Sae, CapturedPrompts>();

/** The activations of this dataset's one-hop prompts, or of an even sample of many; null if they are neither here nor given. */
export async function capturedPrompts(
  pair: LoadedPair,
  { datasetId, dataset }: { datasetId: string; dataset: EngineDataset | null },
): Promise<CapturedPrompts | null> {
  const known = captures.get(pair.sae);
  if (known?.datasetId === datasetId) return known;
  if (!dataset) return null;
  const captured = { datasetId, ...(await capture(pair, dataset)) };
  captures.set(pair.sae, captured);
  return captured;
}

async function capture({ model, sae }: LoadedPair, dataset: EngineDataset) {
  const { prompts, populationOf } = splitPopulations(dataset, sae.settings);
  const { layer } = sae.settings;
  if (prompts.length === 0)
    throw invalidInput(['datasetId'], 'the dataset has no prompts of one concept to measure latents on');
  const chosen = choosePrompts(model, layer, prompts);
  const h = await captureLastTokens(model, prompts, chosen, { layer });
  return { nConcepts: dataset.concepts.length, prompts: label(chosen, populationOf), h };
}

/** The same, of activations of all prompts that have been captured for something else. */
export function promptsOfCaptured(
  model: LanguageModel,
  { settings, config }: Sae,
  dataset: EngineDataset,
  captured: CapturedPopulations,
): CapturedPrompts {
  const { prompts, populationOf } = splitPopulations(dataset, settings);
  const rows = new Map(Object.values(captured).flatMap((own) => own.map(({ id, h }) => [id, h] as const)));
  const chosen = choosePrompts(model, settings.layer, prompts);
  const h = stackRows(
    chosen.map(({ id }) => ({ h: rows.get(id)! })),
    config.dModel,
  );
  return { datasetId: '', nConcepts: dataset.concepts.length, prompts: label(chosen, populationOf), h };
}

function choosePrompts(model: LanguageModel, layer: number, prompts: readonly Prompt[]): readonly Prompt[] {
  const work = computes(model) ? weightsUpTo(model.config, layer) : 0;
  return sampleEvenly(prompts, Math.min(MAX_PROMPTS, MAX_WORK / work));
}

function label(chosen: readonly Prompt[], populationOf: Populations['populationOf']): LatentPrompt[] {
  return chosen.map(({ id, concepts, split, entity }) => ({
    id,
    split,
    concept: concepts[0]!,
    learned: split === 'TRAIN' && populationOf(entity) === 'SEEN',
  }));
}

function sampleEvenly(prompts: readonly Prompt[], most: number): readonly Prompt[] {
  const stride = Math.max(1, prompts.length / most);
  return Array.from(
    { length: Math.min(prompts.length, Math.floor(most)) },
    (_, i) => prompts[Math.floor(i * stride)]!,
  );
}

function weightsUpTo({ dModel, dMlp }: ModelConfig, layer: number): number {
  return (layer + 1) * (4 * dModel * dModel + 2 * dModel * dMlp) + dModel;
}
