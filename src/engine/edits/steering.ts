/** Reads the slots at every step of one sequence, and makes the edits that apply there. */
import * as tf from '@tensorflow/tfjs-core';
import { AppError } from '../../errors.ts';
import type { GenerationEdit } from '../contract/generation.ts';
import type { ResidHook } from '../model/decoder.ts';
import type { Sae } from '../sae/sae.ts';
import { SLOT_ON } from './armed.ts';
import { applyEdits, type Edit } from './edit.ts';
import { slotSwap } from './editors.ts';
import { METHODS } from './methods.ts';
import { checkConcept, chooseSource } from './source.ts';

export interface Steering {
  /** For one sequence; must be asked for step after step from 0. */
  hookAt(step: number): ResidHook;
  /** Slots at the step that ran last, before any edit; `[nConcepts]`. */
  slots(): Float32Array;
}

/** @throws {AppError} INVALID_INPUT, also from its hooks, with the path of the edit that cannot be made. */
export function createSteering(sae: Sae, edits: readonly GenerationEdit[]): Steering {
  const { nConcepts, nFree } = sae.config;
  edits.forEach(({ source, target }, i) => {
    checkConcept([...pathOf(i), 'target'], target, nConcepts);
    if (source !== null) checkConcept([...pathOf(i), 'source'], source, nConcepts);
  });
  let slots: Float32Array = new Float32Array(nConcepts);
  let sources: number[] = [];
  const prepared: Edit[] = [];
  const prepare = (i: number): Edit => {
    const { target, method, alpha } = edits[i]!;
    const swap = slotSwap(sae, { source: sources[i]!, target });
    prepared[i] ??= at(pathOf(i), () => METHODS[method].prepare(sae, swap)(alpha));
    return prepared[i];
  };
  const editAt = (step: number, h: Float32Array): Float32Array => {
    const z = sae.latents(h);
    slots = z.slice(nFree);
    if (step === 0) sources = edits.map((edit, i) => chooseSource(edit, slots, pathOf(i)));
    return edits.reduce((edited, { fromStep, untilStep, armed }, i) => {
      if (step < fromStep || step > (untilStep ?? step)) return edited;
      if (armed && slots[sources[i]!]! <= SLOT_ON) return edited;
      return applyEdits(sae, edited, [prepare(i)], edited === h ? z : undefined);
    }, h);
  };
  return {
    hookAt: (step) => editingLast(sae.settings.layer, (h) => editAt(step, h)),
    slots: () => slots,
  };
}

/** Rewrites the last row of `resid [1, T, C]`; `edit` returns its argument to leave it as it is. */
export function editingLast(layer: number, edit: (h: Float32Array) => Float32Array): ResidHook {
  return {
    layer,
    apply(resid) {
      const [, T, C] = resid.shape;
      const h = tf
        .slice3d(resid, [0, T - 1, 0], [1, 1, C])
        .dataSync<'float32'>()
        .slice();
      const edited = edit(h);
      if (edited === h) return resid;
      const last = tf.tensor3d(edited, [1, 1, C]);
      return T === 1 ? last : tf.concat([tf.slice3d(resid, [0, 0, 0], [1, T - 1, C]), last], 1);
    },
  };
}

function pathOf(edit: number): string[] {
  return ['edits', String(edit)];
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
