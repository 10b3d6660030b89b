/** What is asked of a model and an SAE together: edits at several strengths, and what fires on a text. */
import { captureResidPost } from '../../../src/engine/align/capture.ts';
import { ALIGNMENT_PRESETS } from '../../../src/engine/contract/alignmentPresets.ts';
import type { SteeringEdit } from '../../../src/engine/contract/edits.ts';
import { steer } from '../../../src/engine/edits/steer.ts';
import { readActivations } from '../../../src/engine/latents/activations.ts';
import type { LoadedPair } from '../../../src/engine/loaded.ts';
import { initSae } from '../../../src/engine/sae/autoencoder.ts';
import { Sae } from '../../../src/engine/sae/sae.ts';
import type { ActivationsWork, SteerWork } from '../work.ts';
import { loadModel } from './model.ts';
import type { Task } from './task.ts';

/** Strongest latents of a token that are compared. */
export const CHECKED_LATENTS = 3;

/** Held to the peer's generation by an edit that adds nothing; timed with one that sets a slot. */
export async function steerTask(work: SteerWork, inputs: string): Promise<Task> {
  const { pair, prompt } = await loadPair(work, inputs);
  const alphas = Array.from({ length: work.rows }, (_, i) => i + 1);
  const steered = (edit: Pick<SteeringEdit, 'action' | 'strength'>) =>
    steer(pair, { prompt, alphas, maxNewTokens: work.newTokens, edits: [{ ...SLOT, ...edit }] });
  return {
    async check() {
      const { results } = await steered({ action: 'ADD', strength: 0 });
      return results.flatMap(({ text }) => text.split(' ').map(Number));
    },
    run: () => steered({ action: 'SET', strength: 1 }),
    units: 1,
  };
}

export const SLOT: Omit<SteeringEdit, 'action' | 'strength'> = {
  target: { concept: 0 },
  source: null,
  method: 'LATENT_DECODE',
  keepsError: true,
  relative: false,
  place: { positions: 'ANSWER', tokens: null, fromStep: null, untilStep: null, armed: null },
};

/** Ours, or the model alone, up to the block that the SAE reads. */
export async function activationsTask(work: ActivationsWork, inputs: string, variant: string): Promise<Task> {
  const { pair, prompt, tokens } = await loadPair(work, inputs);
  const { layer } = work;
  const positions = [tokens.map((_, position) => position)];
  const capture = () => captureResidPost(pair.model, [tokens], { layer, positions });
  if (variant !== '')
    return {
      check: async () => strongestOf(pair.sae, await capture()),
      run: capture,
      units: 1,
    };
  return {
    async check() {
      const read = await readActivations(pair, prompt);
      return read.flatMap(({ activations }) => [...activations.slice(0, CHECKED_LATENTS)]);
    },
    run: () => readActivations(pair, prompt),
    units: 1,
  };
}

/** The strongest latents of each row, strongest first. */
export function strongestOf(sae: Sae, h: Float32Array): number[] {
  const z = sae.latents(h);
  return Array.from({ length: z.length / sae.nLatents }, (_, row) =>
    [...z.subarray(row * sae.nLatents, (row + 1) * sae.nLatents)].sort((a, b) => b - a),
  ).flatMap((values) => values.slice(0, CHECKED_LATENTS));
}

/** The prompt is the first row of the batch, as text and as ids. */
async function loadPair(
  work: SteerWork | ActivationsWork,
  inputs: string,
): Promise<{ pair: LoadedPair; prompt: string; tokens: readonly number[] }> {
  const { model, sequences } = await loadModel(work, inputs);
  const { layer, nFree, nConcepts } = work;
  const { dModel } = work.config;
  const config = { dModel, nFree, nConcepts, activation: 'RELU', k: 1, valueHeads: null } as const;
  const concepts = Array.from({ length: nConcepts }, (_, i) => `c${i}`);
  const sae = new Sae({
    ...{ config, concepts, bestStep: 0, weights: initSae(config, 0) },
    settings: { ...ALIGNMENT_PRESETS.PAPER, layer, nFree },
    normalization: { mean: new Float32Array(dModel), scale: 1 },
    conceptMeans: new Float32Array(nConcepts * dModel),
  });
  const tokens = sequences[0]!;
  return { pair: { model, sae }, prompt: tokens.join(' '), tokens };
}
