/** An SAE of the tiny model with random weights: three slots whose columns lean on one another, four free latents. */

import { ALIGNMENT_PRESETS } from '../../../src/engine/contract/alignmentPresets.ts';
import type { SaeConfig } from '../../../src/engine/contract/sae.ts';
import { initSae } from '../../../src/engine/sae/autoencoder.ts';
import type { StoredSae } from '../../../src/engine/sae/file.ts';
import { tinyConfig } from '../model/tiny.ts';

const CONFIG: SaeConfig = {
  dModel: tinyConfig.dModel,
  nFree: 4,
  nConcepts: 3,
  activation: 'RELU',
  k: 1,
  valueHeads: null,
};

/** Whoever loads it disposes what was loaded. Without slots it is as a baseline's: the concepts have no latents. */
export function tinySae(layer = 1, { slots = true } = {}): StoredSae {
  const config = { ...CONFIG, ...(slots ? {} : { nConcepts: 0 }) };
  return {
    config,
    settings: { ...ALIGNMENT_PRESETS.PAPER, layer, nFree: config.nFree },
    concepts: ['a', 'b', 'c'],
    bestStep: 0,
    weights: initSae(config, 0),
    normalization: { mean: Float32Array.from({ length: config.dModel }, (_, j) => 0.1 * j), scale: 0.7 },
    conceptMeans: Float32Array.from({ length: 3 * config.dModel }, (_, i) => Math.sin(i)),
  };
}
