/** The activations on which latents are looked at: captured once, kept for as long as the SAE is loaded. */
import { invalidInput } from '../../errors.ts';
import { captureLastTokens } from '../align/captured.ts';
import { splitPopulations } from '../align/population.ts';
import type { EngineDataset, Prompt } from '../contract/dataset.ts';
import type { LatentPrompt } from '../contract/latents.ts';
import type { ModelConfig } from '../contract/model.ts';
import type { LoadedPair } from '../loaded.ts';
import { computes } from '../model/captured.ts';
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
  const work = computes(model) ? weightsUpTo(model.config, layer) : 0;
  const chosen = sampleEvenly(prompts, Math.min(MAX_PROMPTS, MAX_WORK / work));
  const labelled = chosen.map(
    ({ id, concepts, split, entity }): LatentPrompt => ({
      id,
      split,
      concept: concepts[0]!,
      learned: split === 'TRAIN' && populationOf(entity) === 'SEEN',
    }),
  );
  const h = await captureLastTokens(model, prompts, chosen, { layer });
  return { nConcepts: dataset.concepts.length, prompts: labelled, h };
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
