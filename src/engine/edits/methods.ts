/** How a swap of one concept for another reaches the residual stream: a row a method. */
import { invalidInput } from '../../errors.ts';
import type { SwapMethod } from '../contract/swap.ts';
import type { Sae } from '../sae/sae.ts';
import { dot, type Edit, norm } from './edit.ts';

/** What stands for a concept in a swap. */
export interface StandIn {
  concept: number;
  /** Latent index, free latents first. */
  latent: number;
  /** What alpha 1 sets the latent to: 1 for a slot, the mean activation for other latents. Armed, half of it counts as on. */
  scale: number;
  /** Latents that are set along with it, each in its own scale. */
  others?: readonly { latent: number; scale: number }[];
}

/** The latents that stand for a concept together, the first of them deciding whether it is on. */
export function membersOf({ latent, scale, others = [] }: StandIn): { latent: number; scale: number }[] {
  return [{ latent, scale }, ...others];
}

/** One concept turned off and another on. */
export interface Swap {
  off: StandIn;
  on: StandIn;
}

export interface Method {
  /** What tells one swap from another: the latents that stand for the concepts, whoever chose them, or the concepts alone. */
  by: 'LATENT' | 'CONCEPT';
  /** The edit at any alpha; what alpha does not change is computed once. @throws {AppError} INVALID_INPUT where there is none. */
  prepare(sae: Sae, swap: Swap): (alpha: number) => Edit;
}

/** Every method of the contract; what each does is said there. */
export const METHODS = {
  LATENT_DECODE: { by: 'LATENT', prepare: setting({ keepsError: false }) },
  LATENT_DELTA: { by: 'LATENT', prepare: setting({ keepsError: true }) },
  DECODER_COLUMN: { by: 'LATENT', prepare: adding('LENGTH', (sae, { on }) => unit(column(sae, on))) },
  DECODER_PAIR: {
    by: 'LATENT',
    prepare: adding('LENGTH', (sae, { off, on }) => minus(unit(column(sae, on)), unit(column(sae, off)))),
  },
  ORTHOGONAL: { by: 'LATENT', prepare: adding('LENGTH', apartFromOtherSlots) },
  MEAN_DIFFERENCE: {
    by: 'CONCEPT',
    prepare: adding('ONE', (sae, { off, on }) => minus(mean(sae, on), mean(sae, off))),
  },
} satisfies Record<SwapMethod, Method>;

/** Sets the source's latents to 0 and then the target's to alpha, each in its own scale. */
function setting({ keepsError }: { keepsError: boolean }): Method['prepare'] {
  return (_sae, { off, on }) =>
    (alpha) => ({
      set: [
        ...membersOf(off).map(({ latent }) => ({ latent, value: 0 })),
        ...membersOf(on).map(({ latent, scale }) => ({ latent, value: alpha * scale })),
      ],
      keepsError,
    });
}

function adding(
  unit: 'ONE' | 'LENGTH',
  directionOf: (sae: Sae, swap: Swap) => Float32Array,
): Method['prepare'] {
  return (sae, swap) => {
    const direction = directionOf(sae, swap);
    return (size) => ({ direction, size, unit });
  };
}

/** The latent's column, or what several write together in their scales. */
function column(sae: Sae, standIn: StandIn): Float32Array {
  if (!standIn.others) return sae.columns([standIn.latent]);
  const { dModel } = sae.config;
  const members = membersOf(standIn);
  const columns = sae.columns(members.map(({ latent }) => latent));
  return Float32Array.from({ length: dModel }, (_, j) =>
    members.reduce((sum, { scale }, i) => sum + scale * columns[i * dModel + j]!, 0),
  );
}

/** Mean raw activation of the concept's training prompts. */
function mean({ conceptMeans, config: { dModel } }: Sae, { concept }: StandIn): Float32Array {
  return conceptMeans.subarray(concept * dModel, (concept + 1) * dModel);
}

/** The target's column less its projection onto the span of the other slots' columns, at length 1; by Gram–Schmidt. */
function apartFromOtherSlots(sae: Sae, { on }: Swap): Float32Array {
  const { nConcepts } = sae.config;
  const slots = Array.from({ length: nConcepts }, (_, concept) => sae.slot(concept));
  const basis: Float32Array[] = [];
  const reject = (v: Float32Array): Float32Array =>
    basis.reduce((rest, axis) => {
      const along = dot(rest, axis);
      return rest.map((value, j) => value - along * axis[j]!);
    }, v);
  for (const slot of slots.filter((slot) => slot !== on.latent)) {
    const other = sae.columns([slot]);
    const rest = reject(other);
    if (norm(rest) > 1e-5 * norm(other)) basis.push(unit(rest));
  }
  const own = column(sae, on);
  const rest = reject(own);
  if (norm(rest) > 1e-5 * norm(own)) return unit(rest);
  throw invalidInput(
    ['method'],
    "the target's decoder column lies within the span of the other slots' columns",
  );
}

export function minus(a: Float32Array, b: Float32Array): Float32Array {
  return a.map((value, j) => value - b[j]!);
}

/** At length 1; a vector of length 0 stays as it is. */
export function unit(v: Float32Array): Float32Array {
  const length = norm(v) || 1;
  return v.map((value) => value / length);
}
