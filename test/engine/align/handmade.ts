/** An SAE made by hand: two slots and two free latents read and write one axis each, so every edit is known. */

import { ALIGNMENT_PRESETS } from '../../../src/engine/contract/alignmentPresets.ts';
import type { Arrays } from '../../../src/engine/contract/arrays.ts';
import { saeShapes } from '../../../src/engine/sae/autoencoder.ts';
import { Sae } from '../../../src/engine/sae/sae.ts';

const MEAN = [0.5, -0.5, 1, 2, -1];
const SCALE = 2;
/** Slot columns point along axes 0 and 1, slanted by this much into axis 3. */
const SLANT = 0.5;

export interface Handmade {
  /** The caller disposes it. */
  sae: Sae;
  /** The raw activation of these latents, with so much along the axis that the SAE does not see. */
  activation(latents: { slots: readonly number[]; free: readonly number[]; lost?: number }): Float32Array;
}

/**
 * `x` is `[slot 0, slot 1, free 0, free 1, unseen]`: slots read axes 0 and 1, free latents read axes 2 and 3 less
 * what the slots' slanted columns write there.
 */
export function handmadeSae(layer = 1): Handmade {
  const config = {
    dModel: 5,
    nFree: 2,
    nConcepts: 2,
    activation: 'RELU' as const,
    k: 1,
    valueHeads: null,
  };
  const weights: Arrays = {};
  for (const [name, shape] of Object.entries(saeShapes(config))) {
    weights[name] = { data: new Float32Array(shape.reduce((a, b) => a * b, 1)), shape };
  }
  const encoder = weights['encoder.weight']!.data; // [axis, latent]; latents: free 0, free 1, slot 0, slot 1
  const set = (axis: number, latent: number, value: number) => {
    encoder[axis * 4 + latent] = value;
  };
  set(2, 0, 1);
  set(3, 1, 1);
  set(0, 1, -SLANT);
  set(1, 1, -SLANT);
  set(0, 2, 1);
  set(1, 3, 1);
  const columns = [
    [0, 0, 1, 0, 0],
    [0, 0, 0, 1, 0],
    [1, 0, 0, SLANT, 0],
    [0, 1, 0, SLANT, 0],
  ];
  weights['decoder.weight']!.data.set(columns.flat());
  const sae = new Sae({
    config,
    settings: { ...ALIGNMENT_PRESETS.PAPER, layer, nFree: 2 },
    concepts: ['a', 'b'],
    bestStep: 0,
    weights,
    normalization: { mean: Float32Array.from(MEAN), scale: SCALE },
    conceptMeans: Float32Array.of(1, 2, 3, 4, 5, 2, 2, 2, 2, 2),
  });
  return {
    sae,
    activation({ slots, free, lost = 0 }) {
      const latents = [...free, ...slots];
      const x = [0, 0, 0, 0, lost];
      columns.forEach((column, i) => {
        column.forEach((value, axis) => {
          x[axis]! += latents[i]! * value;
        });
      });
      return Float32Array.from(x, (value, axis) => value * SCALE + MEAN[axis]!);
    },
  };
}
