/** By what a concept is swapped: the bound slots, or a control that stands beside them. */
import type { Random } from '../../random.ts';
import type { CellMethod, SwapMethod } from '../contract/swap.ts';
import type { SweepControl } from '../contract/swapSweepSettings.ts';
import type { Sae } from '../sae/sae.ts';
import type { Edit } from './edit.ts';
import { METHODS, membersOf, type StandIn, type Swap } from './methods.ts';

export interface ConceptPair {
  source: number;
  target: number;
}

/** Every concept for every other one. */
export function conceptPairs(nConcepts: number): ConceptPair[] {
  const concepts = Array.from({ length: nConcepts }, (_, concept) => concept);
  return concepts.flatMap((source) =>
    concepts.filter((target) => target !== source).map((target) => ({ source, target })),
  );
}

/** How an editor edits: in a way that can be asked for, or in one of its own. */
export type EditMethod = Exclude<CellMethod, 'REPLACEMENT' | 'NONE'>;

/** The swaps of one hand. */
export interface Editor {
  edited: 'CONCEPT' | SweepControl;
  sae: Sae;
  methods: readonly EditMethod[];
  /** By pair. */
  swaps: readonly Swap[];
  /** The edit that a method makes of a pair's swap. */
  edit(method: EditMethod, pair: number, alpha: number): Edit;
}

export function createEditor(
  parts: Omit<Editor, 'edit' | 'methods'> & { methods: readonly SwapMethod[] },
): Editor {
  const { sae, swaps } = parts;
  const prepared = new Map<string, (alpha: number) => Edit>();
  return {
    ...parts,
    edit(method, pair, alpha) {
      const key = `${method} ${pair}`;
      const known = prepared.get(key) ?? METHODS[method as SwapMethod].prepare(sae, swaps[pair]!);
      prepared.set(key, known);
      return known(alpha);
    },
  };
}

/** All latents that its swaps touch. */
export function latentsOf({ swaps }: Editor): number[] {
  return swaps.flatMap(({ off, on }) =>
    [off, on].flatMap((standIn) => membersOf(standIn).map(({ latent }) => latent)),
  );
}

/** Adds alpha times a direction `[dModel]`, one a swap; what is on is told by the swaps. */
export function createAdder(
  parts: Pick<Editor, 'edited' | 'sae' | 'swaps'>,
  method: EditMethod,
  directions: readonly Float32Array[],
): Editor {
  const edit = (_: EditMethod, pair: number, size: number): Edit => {
    return { direction: directions[pair]!, size, unit: 'ONE' };
  };
  return { ...parts, methods: [method], edit };
}

/** The slots: source's off, target's to alpha. */
export function slotSwap(sae: Sae, { source, target }: ConceptPair): Swap {
  const slot = (concept: number) => ({ concept, latent: sae.slot(concept), scale: 1 });
  return { off: slot(source), on: slot(target) };
}

/** A latent with what it reads where it fires. */
export interface Scaled {
  latent: number;
  meanActivation: number;
}

/** The best latents that an unsupervised SAE has, concept by concept; alpha counts in their mean activation. */
export function latentSwap(latents: readonly Scaled[], { source, target }: ConceptPair): Swap {
  const standIn = (concept: number): StandIn => {
    const { latent, meanActivation } = latents[concept]!;
    return { concept, latent, scale: meanActivation };
  };
  return { off: standIn(source), on: standIn(target) };
}

/** The same with several latents a concept, best first. */
export function groupSwap(groups: readonly (readonly Scaled[])[], { source, target }: ConceptPair): Swap {
  const standIn = (concept: number): StandIn => {
    const [best, ...others] = groups[concept]!.map(({ latent, meanActivation }) => {
      return { latent, scale: meanActivation };
    });
    return { concept, ...best!, others };
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
