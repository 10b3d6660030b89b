/** Makes edits while the model goes on: in a batch of rows that differ in how strong the edits are. */
import * as tf from '@tensorflow/tfjs-core';
import type { SteeringEdit } from '../contract/edits.ts';
import type { ResidHook } from '../model/decoder.ts';
import { takeRows } from '../rows.ts';
import type { Sae } from '../sae/sae.ts';
import { readsLatents } from './actions.ts';
import { checkEdits } from './checkEdits.ts';
import { applyHands, createHand, type Site } from './hands.ts';

export interface SteeringOptions {
  /** By row of the batch, what multiplies every strength; null leaves the row alone. */
  alphas: readonly (number | null)[];
  /** Tokens of the prompt, which is the same in every row. */
  length: number;
  /** Whether to tell the slots. */
  readsSlots?: boolean;
}

export interface Steering {
  /** Whether an edit is made at a token of the prompt before its last. */
  reachesBack: boolean;
  /**
   * Must be asked for step after step from 0, where the hook takes all tokens of the prompt or the last alone; rows
   * `[B, T, C]` as many as there are alphas.
   */
  hookAt(step: number): ResidHook;
  /** Slots of the first row at the step that ran last, before any edit; `[nConcepts]`. */
  slots(): Float32Array;
}

/** Latents that are read together fill at most this many floats. */
const LATENTS_AT_ONCE = 2 ** 23;

/** A site by its row of the activations `[B · T, dModel]`. */
interface Place extends Site {
  row: number;
}

/** @throws {AppError} INVALID_INPUT, also from its hooks, with the path of the edit that cannot be made. */
export function createSteering(
  sae: Sae,
  edits: readonly SteeringEdit[],
  { alphas, length, readsSlots = false }: SteeringOptions,
): Steering {
  checkEdits(sae, edits, length);
  const { dModel, nConcepts } = sae.config;
  const hands = edits.map((edit, i) => createHand(sae, edit, i, length));
  const first = hands.reduce((least, { coverage }) => Math.min(least, coverage.first), 0);
  const reads = readsSlots || edits.some((edit) => edit.place.armed !== null || readsLatents(edit));
  const atOnce = Math.max(1, Math.floor(LATENTS_AT_ONCE / sae.nLatents));
  let slots: Float32Array = new Float32Array(nConcepts);

  const placesOf = (T: number, step: number): Place[] =>
    alphas.flatMap((alpha, b) =>
      Array.from({ length: T }, (_, t): Place => ({ row: b * T + t, step: step + t + 1 - T, alpha })).filter(
        (place) =>
          (readsSlots && place.row === T - 1) ||
          (alpha !== null && hands.some(({ coverage }) => coverage.covers(place.step))),
      ),
    );
  const editPlaces = (h: Float32Array, places: readonly Place[], told: number) => {
    const rows = places.map(({ row }) => row);
    const part = takeRows(h, rows, dModel);
    const z = reads ? sae.latents(part) : undefined;
    const end = (rows.indexOf(told) + 1) * sae.nLatents;
    if (readsSlots && end > 0) slots = z!.slice(end - nConcepts, end);
    applyHands(sae, hands, part, places, z);
    rows.forEach((row, i) => {
      h.set(part.subarray(i * dModel, (i + 1) * dModel), row * dModel);
    });
  };
  const editAll = (step: number) => (h: Float32Array, T: number) => {
    if (step === 0) for (const { begin } of hands) begin(h.subarray((T - 1) * dModel, T * dModel));
    const places = placesOf(T, step);
    for (let start = 0; start < places.length; start += atOnce)
      editPlaces(h, places.slice(start, start + atOnce), T - 1);
  };
  return {
    reachesBack: first < 0,
    hookAt: (step) => editingEnds(sae.settings.layer, step === 0 ? 1 - first : 1, editAll(step)),
    slots: () => slots,
  };
}

/** Rewrites the last rows of `resid [B, T, C]`, at most `width` a sequence; `edit` takes them in place, `[B · t, C]`. */
function editingEnds(layer: number, width: number, edit: (h: Float32Array, t: number) => void): ResidHook {
  return {
    layer,
    apply(resid) {
      const [B, T, C] = resid.shape;
      const kept = Math.max(0, T - width);
      const ends = tf.slice3d(resid, [0, kept, 0], [B, T - kept, C]);
      const h = ends.dataSync<'float32'>().slice();
      edit(h, T - kept);
      const edited = tf.tensor3d(h, [B, T - kept, C]);
      return kept === 0 ? edited : tf.concat([tf.slice3d(resid, [0, 0, 0], [B, kept, C]), edited], 1);
    },
  };
}

/** Rewrites the last row of `resid [1, T, C]`; `edit` returns its argument to leave it as it is. */
export function editingLast(layer: number, edit: (h: Float32Array) => Float32Array): ResidHook {
  return editingEnds(layer, 1, (h) => {
    const edited = edit(h);
    if (edited !== h) h.set(edited);
  });
}
