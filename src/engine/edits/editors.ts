/** By what a concept is swapped: the bound slots, or a control that stands beside them. */
import type { Random } from '../../random.ts';
import type { HopEdit } from '../contract/hopSwap.ts';
import type { SwapMethod } from '../contract/swap.ts';
import type { Sae } from '../sae/sae.ts';
import type { Edit } from './edit.ts';
import { METHODS, type StandIn, type Swap } from './methods.ts';

export interface ConceptPair {
  source: number;
  target: number;
}

/** The swaps of one hand. */
export interface Editor {
  edited: HopEdit;
  sae: Sae;
  methods: readonly SwapMethod[];
  /** By pair. */
  swaps: readonly Swap[];
  /** The edit that a method makes of a pair's swap. */
  edit(method: SwapMethod, pair: number, alpha: number): Edit;
}

export function createEditor(parts: Omit<Editor, 'edit'>): Editor {
  const { sae, swaps } = parts;
  const prepared = new Map<string, (alpha: number) => Edit>();
  return {
    ...parts,
    edit(method, pair, alpha) {
      const key = `${method} ${pair}`;
      const known = prepared.get(key) ?? METHODS[method].prepare(sae, swaps[pair]!);
      prepared.set(key, known);
      return known(alpha);
    },
  };
}

/** The slots: source's off, target's to alpha. */
export function slotSwap(sae: Sae, { source, target }: ConceptPair): Swap {
  const slot = (concept: number) => ({ concept, latent: sae.slot(concept), scale: 1 });
  return { off: slot(source), on: slot(target) };
}

/** The best latents that an unsupervised SAE has, concept by concept; alpha counts in their mean activation. */
export function latentSwap(
  latents: readonly { latent: number; meanActivation: number }[],
  { source, target }: ConceptPair,
): Swap {
  const standIn = (concept: number): StandIn => {
    const { latent, meanActivation } = latents[concept]!;
    return { concept, latent, scale: meanActivation };
  };
  return { off: standIn(source), on: standIn(target) };
}

/** Two latents drawn from the free ones; alpha counts in their means where they fire, `scales [nFree]`. */
export function randomSwap(random: Random, scales: Float32Array, { source, target }: ConceptPair): Swap {
  const draw = (concept: number): StandIn => {
    const latent = random.int(scales.length);
    return { concept, latent, scale: scales[latent]! };
  };
  return { off: draw(source), on: draw(target) };
}
