/** Reads the slots at every step of one sequence, and makes the edits that apply there. */
import * as tf from '@tensorflow/tfjs-core';
import { AppError, invalidInput } from '../../errors.ts';
import { SLOT_ON } from '../align/armed.ts';
import { editResid } from '../align/swapMethods.ts';
import type { GenerationEdit } from '../contract/generation.ts';
import type { ResidHook } from '../model/decoder.ts';
import type { Sae } from '../sae/sae.ts';
import { strongest } from '../sae/validation.ts';

export interface Steering {
  /** For one sequence; must be asked for step after step from 0. */
  hookAt(step: number): ResidHook;
  /** Slots at the step that ran last, before any edit; `[nConcepts]`. */
  slots(): Float32Array;
}

/** @throws {AppError} INVALID_INPUT, also from its hooks, with the path of the edit that cannot be made. */
export function createSteering(sae: Sae, edits: readonly GenerationEdit[]): Steering {
  const { nConcepts } = sae.config;
  edits.forEach((edit, i) => {
    checkConcept(['edits', String(i), 'target'], edit.target, nConcepts);
    if (edit.source !== null) checkConcept(['edits', String(i), 'source'], edit.source, nConcepts);
  });
  let slots: Float32Array = new Float32Array(nConcepts);
  let sources: number[] = [];
  const editAt = (step: number, h: Float32Array): Float32Array => {
    slots = sae.slots(h);
    if (step === 0) sources = edits.map((edit, i) => chooseSource(edit, i, slots));
    return edits.reduce((edited, edit, i) => {
      if (step < edit.fromStep || step > (edit.untilStep ?? step)) return edited;
      if (edit.armed && slots[sources[i]!]! <= SLOT_ON) return edited;
      const latents = { off: sae.slot(sources[i]!), on: sae.slot(edit.target), alpha: edit.alpha };
      return at(['edits', String(i)], () => editResid(sae, edited, [latents], edit.method).resid);
    }, h);
  };
  return {
    hookAt: (step) => ({
      layer: sae.settings.layer,
      apply: (resid) => editLast(resid, (h) => editAt(step, h)),
    }),
    slots: () => slots,
  };
}

/** `resid [1, T, C]` with its last row rewritten; `edit` returns its argument to leave it as it is. */
function editLast(resid: tf.Tensor3D, edit: (h: Float32Array) => Float32Array): tf.Tensor3D {
  const [, T, C] = resid.shape;
  const h = tf
    .slice3d(resid, [0, T - 1, 0], [1, 1, C])
    .dataSync<'float32'>()
    .slice();
  const edited = edit(h);
  if (edited === h) return resid;
  const last = tf.tensor3d(edited, [1, 1, C]);
  return T === 1 ? last : tf.concat([tf.slice3d(resid, [0, 0, 0], [1, T - 1, C]), last], 1);
}

function chooseSource({ source, target }: GenerationEdit, i: number, slots: Float32Array): number {
  const chosen = source ?? strongest(slots, 0, slots.length);
  if (chosen !== target) return chosen;
  const why = source === null ? "it is the prompt's strongest slot, " : '';
  throw invalidInput(
    ['edits', String(i), 'target'],
    `target must differ from the source; ${why}both are ${chosen}`,
  );
}

function checkConcept(path: readonly string[], concept: number, nConcepts: number): void {
  if (Number.isInteger(concept) && concept >= 0 && concept < nConcepts) return;
  throw invalidInput(path, `must be a concept index from 0 to ${nConcepts - 1}, got ${concept}`);
}

/** Puts `path` before that of an error that `make` throws. */
function at<T>(path: readonly string[], make: () => T): T {
  try {
    return make();
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    throw new AppError(error.code, error.message, { path: [...path, ...error.path], cause: error });
  }
}
