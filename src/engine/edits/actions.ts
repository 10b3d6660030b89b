/** How an edit of a latent or a direction reaches the residual stream: a row an action. */
import { invalidInput } from '../../errors.ts';
import type { EditAction, EditTarget, SteeringEdit } from '../contract/edits.ts';
import type { SwapMethod } from '../contract/swap.ts';
import type { Sae } from '../sae/sae.ts';
import type { AnyEdit } from './edit.ts';
import { METHODS, minus, type StandIn, unit } from './methods.ts';

/** A target as the engine works with it. */
export type Subject = { latent: number } | { vector: Float32Array };

/** An edit whose source, where it has one, is known. */
export type Prepared = (strength: number) => AnyEdit;
type Prepare = (sae: Sae, edit: SteeringEdit, target: Subject, source: Subject | null) => Prepared;

const ACTIONS = {
  SET: changing((strength) => ({ times: 0, plus: strength })),
  SCALE: changing((strength) => ({ times: strength, plus: 0 })),
  ABLATE: changing((strength) => ({ times: 1 - strength, plus: 0 })),
  ADD(sae, { relative }, target) {
    const whole = 'vector' in target ? target.vector : rawColumn(sae, target.latent);
    if (!relative) return (size) => ({ direction: whole, size, unit: 'ONE' });
    const direction = unit(whole);
    return (size) => ({ direction, size, unit: 'LENGTH' });
  },
  SWAP(sae, { method }, target, source) {
    const [on, off] = [target, source!];
    if ('latent' in on && 'latent' in off) return swapLatents(sae, method, off.latent, on.latent);
    return swapDirections(sae, method, off, on);
  },
} satisfies Record<EditAction, Prepare>;

/** @throws {AppError} INVALID_INPUT with a path below the edit's where its method does not fit its targets. */
export function prepareEdit(sae: Sae, edit: SteeringEdit, source: Subject | null): Prepared {
  return ACTIONS[edit.action](sae, edit, subjectOf(sae, edit.target), source);
}

/** The slot of a concept as the latent that it is. */
export function subjectOf(sae: Sae, target: EditTarget): Subject {
  return 'concept' in target ? { latent: sae.slot(target.concept) } : target;
}

/** Whether the edit has to know what the latents of an activation are. */
export function readsLatents({ action, target, method }: SteeringEdit): boolean {
  if (action === 'SWAP') return method === 'LATENT_DECODE' || method === 'LATENT_DELTA';
  return action !== 'ADD' && !('vector' in target);
}

function changing(changeOf: (strength: number) => { times: number; plus: number }): Prepare {
  return (_sae, { keepsError }, target) => {
    if ('latent' in target)
      return (strength) => ({ latent: target.latent, keepsError, ...changeOf(strength) });
    const axis = unit(target.vector);
    return (strength) => ({ axis, ...changeOf(strength) });
  };
}

/** What the latent writes into an activation where it is 1, `[dModel]`. */
function rawColumn(sae: Sae, latent: number): Float32Array {
  return sae.columns([latent]).map((value) => value * sae.normalization.scale);
}

function swapLatents(sae: Sae, method: SwapMethod, off: number, on: number): Prepared {
  const { nFree } = sae.config;
  if (METHODS[method].by === 'CONCEPT' && Math.min(off, on) < nFree)
    throw invalidInput(
      ['method'],
      `${method} swaps concepts, but latent ${Math.min(off, on)} is a free one; name two slots, or another method`,
    );
  const standIn = (latent: number): StandIn => ({ concept: latent - nFree, latent, scale: 1 });
  return METHODS[method].prepare(sae, { off: standIn(off), on: standIn(on) });
}

/** A direction stands where a decoder column would. */
function swapDirections(sae: Sae, method: SwapMethod, off: Subject, on: Subject): Prepared {
  const column = (subject: Subject) =>
    unit('vector' in subject ? subject.vector : sae.columns([subject.latent]));
  if (method !== 'DECODER_COLUMN' && method !== 'DECODER_PAIR')
    throw invalidInput(
      ['method'],
      `${method} swaps latents; with a direction method must be DECODER_COLUMN or DECODER_PAIR`,
    );
  const direction = method === 'DECODER_COLUMN' ? column(on) : minus(column(on), column(off));
  return (size) => ({ direction, size, unit: 'LENGTH' });
}
