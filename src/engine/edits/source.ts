/** Which concept a caller's swap turns off. */
import { invalidInput } from '../../errors.ts';
import { strongest } from '../sae/validation.ts';

/**
 * The source named, or the strongest of `slots [nConcepts]`; `path` leads to the call that names it.
 * @throws {AppError} INVALID_INPUT when that is the target itself.
 */
export function chooseSource(
  { source, target }: { source: number | null; target: number },
  slots: Float32Array,
  path: readonly string[] = [],
): number {
  const chosen = source ?? strongest(slots, 0, slots.length);
  if (chosen !== target) return chosen;
  const why = source === null ? "it is the prompt's strongest slot, " : '';
  throw invalidInput([...path, 'target'], `target must differ from the source; ${why}both are ${chosen}`);
}

/** @throws {AppError} INVALID_INPUT at `path` when there is no such concept. */
export function checkConcept(path: readonly string[], concept: number, nConcepts: number): void {
  if (Number.isInteger(concept) && concept >= 0 && concept < nConcepts) return;
  const message = `${path.at(-1)} must be a concept index from 0 to ${nConcepts - 1}, got ${concept}`;
  throw invalidInput(path, message);
}
