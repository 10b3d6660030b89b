/** What a sweep edits: the bound slots or a control's latents, for every pair of concepts. */
import { createRandom } from '../../../random.ts';
import type { SwapMethod } from '../../contract/swap.ts';
import type { SwapSweepJob, SweepBaseline, SweepCell } from '../../contract/swapSweep.ts';
import type { Sae } from '../../sae/sae.ts';
import { SLOT_ON } from '../armed.ts';

export type ConceptPair = SwapSweepJob['pairs'][number];

/** The latents that stand for a pair. */
export interface PairLatents {
  off: number;
  on: number;
  /** What alpha 1 means for `on` where it is set: 1 for a slot, the mean activation for other latents. */
  scale: number;
  /** An armed edit fires where `off` is above this. */
  threshold: number;
}

export interface SweepEditor {
  edited: SweepCell['edited'];
  sae: Sae;
  /** By pair. */
  latents: readonly PairLatents[];
  methods: readonly SwapMethod[];
}

/** The slots: source's off, target's to alpha. */
export function slotLatents({ config: { nFree } }: Sae, pairs: readonly ConceptPair[]): PairLatents[] {
  return pairs.map(({ source, target }) => ({
    off: nFree + source,
    on: nFree + target,
    scale: 1,
    threshold: SLOT_ON,
  }));
}

/** The best latent that an unsupervised SAE has for each concept; alpha counts in its mean activation there. */
export function unsupervisedLatents(
  latents: SweepBaseline['latents'],
  pairs: readonly ConceptPair[],
): PairLatents[] {
  return pairs.map(({ source, target }) => ({
    off: latents[source]!.latent,
    on: latents[target]!.latent,
    scale: latents[target]!.meanActivation,
    threshold: latents[source]!.meanActivation * SLOT_ON,
  }));
}

/** Two random free latents a pair, drawn by the seed; alpha counts in the mean where they fire (`scales [nFree]`). */
export function randomLatents(
  { config: { nFree } }: Sae,
  scales: Float32Array,
  pairs: readonly ConceptPair[],
  seed: number,
): PairLatents[] {
  const random = createRandom(seed, 'sweep', 'random-latents');
  return pairs.map(() => {
    const off = random.int(nFree);
    const on = random.int(nFree);
    return { off, on, scale: scales[on]!, threshold: scales[off]! * SLOT_ON };
  });
}
