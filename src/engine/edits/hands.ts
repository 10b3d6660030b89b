/** Edits as one prompt has made them: where each is made, and of what it rests on there. */
import { invalidInput } from '../../errors.ts';
import type { SteeringEdit } from '../contract/edits.ts';
import { takeRows } from '../rows.ts';
import type { Sae } from '../sae/sae.ts';
import { type Prepared, prepareEdit, type Subject, subjectOf } from './actions.ts';
import { at, pathOf } from './checkEdits.ts';
import { applyEdits } from './edit.ts';
import { type Coverage, coverageOf } from './places.ts';
import { chooseSource } from './source.ts';

/** One edit, ready to be made. */
export interface Hand {
  path: readonly string[];
  coverage: Coverage;
  /** Settles what the prompt decides, by its last activation `[dModel]` before any edit. */
  begin(last: Float32Array): void;
  /** Whether it is on at row `row` of activations `h` with latents `z`, before any edit. */
  isOn(h: Float32Array, z: Float32Array | undefined, row: number): boolean;
  edit(alpha: number): ReturnType<Prepared>;
}

/** A token of a sequence that is looked at. */
export interface Site {
  /** As in `places.ts`. */
  step: number;
  /** What multiplies every strength; null leaves it alone. */
  alpha: number | null;
}

/** Beyond this an activation's square sum may be beyond float32. */
const LARGEST = 1e15;

/** @param length Tokens of the prompt. */
export function createHand(sae: Sae, edit: SteeringEdit, index: number, length: number): Hand {
  const { source: named, action, place, strength } = edit;
  const path = pathOf(index);
  let source: Subject | null = null;
  let prepared: Prepared | undefined;
  return {
    path,
    coverage: coverageOf(place, length),
    begin(last) {
      if (action === 'SWAP')
        source = named ? subjectOf(sae, named) : strongestSlot(sae, edit, sae.slots(last), path);
    },
    isOn(h, z, row) {
      if (place.armed === null) return true;
      const { dModel } = sae.config;
      if (sae.isSink(h.subarray(row * dModel, (row + 1) * dModel))) return false;
      const { target, above } = place.armed;
      const trigger = target === null ? source : subjectOf(sae, target);
      return z![row * sae.nLatents + (trigger as { latent: number }).latent]! > above;
    },
    edit(alpha) {
      prepared ??= at(path, () => prepareEdit(sae, edit, source));
      return prepared(strength * alpha);
    },
  };
}

/**
 * Makes the edits one upon the other in `h [sites.length, dModel]`; `z [sites.length, nLatents]` is what it holds before,
 * where an edit rests on it.
 * @throws {AppError} INVALID_INPUT at an edit's strength where the activation would not hold what comes of it.
 */
export function applyHands(
  sae: Sae,
  hands: readonly Hand[],
  h: Float32Array,
  sites: readonly Site[],
  z?: Float32Array,
): void {
  const { dModel } = sae.config;
  const before = h.slice();
  const touched = new Set<number>();
  for (const { coverage, isOn, edit, path } of hands) {
    const rows = sites.flatMap(({ step, alpha }, i) =>
      alpha !== null && coverage.covers(step) && isOn(before, z, i) ? [i] : [],
    );
    if (rows.length === 0) continue;
    const isFirst = !rows.some((row) => touched.has(row));
    const known = z && isFirst ? takeRows(z, rows, sae.nLatents) : undefined;
    const made = rows.map((row) => edit(sites[row]!.alpha!));
    const edited = applyEdits(sae, takeRows(h, rows, dModel), made, known);
    if (edited.some((value) => !(Math.abs(value) <= LARGEST)))
      throw invalidInput(
        [...path, 'strength'],
        'strength must be less: the activation does not hold so much',
      );
    rows.forEach((row, i) => {
      touched.add(row);
      h.set(edited.subarray(i * dModel, (i + 1) * dModel), row * dModel);
    });
  }
}

function strongestSlot(
  sae: Sae,
  { target }: SteeringEdit,
  slots: Float32Array,
  path: readonly string[],
): Subject {
  const subject = subjectOf(sae, target);
  const concept = 'latent' in subject ? subject.latent - sae.config.nFree : -1;
  return { latent: sae.slot(chooseSource({ source: null, target: concept }, slots, path)) };
}
