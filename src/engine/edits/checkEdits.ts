/** Whether edits fit the SAE and the prompt. */
import { AppError, invalidInput } from '../../errors.ts';
import type { EditPlace, EditTarget, SteeringEdit } from '../contract/edits.ts';
import type { Sae } from '../sae/sae.ts';
import { norm } from './edit.ts';

/** Numbers of a direction may be this large, so that no strength takes the activation beyond float32. */
const MAX_NUMBER = 1e6;

/**
 * @param length Tokens of the prompt.
 * @throws {AppError} INVALID_INPUT with the path of what does not fit, such as `edits.1.target.latent`.
 */
export function checkEdits(sae: Sae, edits: readonly SteeringEdit[], length: number): void {
  edits.forEach(({ target, source, action, place }, i) => {
    at(pathOf(i), () => {
      checkTarget(sae, target, ['target']);
      if (action === 'SWAP') checkSource(sae, source, target);
      checkPlace(sae, place, length);
      if (place.armed?.target === null && (action !== 'SWAP' || (source && 'vector' in source)))
        throw invalidInput(
          ['place', 'armed'],
          'armed must name a concept or a latent, by which the edit fires',
        );
    });
  });
}

export function pathOf(edit: number): string[] {
  return ['edits', String(edit)];
}

/** Puts `path` before that of an error that `make` throws. */
export function at<T>(path: readonly string[], make: () => T): T {
  try {
    return make();
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    throw new AppError(error.code, error.message, { path: [...path, ...error.path], cause: error });
  }
}

function checkTarget(sae: Sae, target: EditTarget, path: readonly string[]): void {
  const { nConcepts, dModel } = sae.config;
  if ('vector' in target) {
    checkVector(target.vector, dModel, [...path, 'vector']);
    return;
  }
  const [kind, index, count] =
    'concept' in target
      ? (['concept', target.concept, nConcepts] as const)
      : (['latent', target.latent, sae.nLatents] as const);
  if (Number.isInteger(index) && index >= 0 && index < count) return;
  if (count === 0)
    throw invalidInput([...path, kind], 'the SAE has no slots; name a latent by its number, or a direction');
  throw invalidInput([...path, kind], `${kind} must be 0 to ${count - 1}, got ${index}`);
}

function checkVector(vector: Float32Array, dModel: number, path: readonly string[]): void {
  if (vector.length !== dModel)
    throw invalidInput(
      path,
      `vector must have ${dModel} numbers, as the model's activations; got ${vector.length}`,
    );
  const bad = vector.findIndex((value) => !(Math.abs(value) <= MAX_NUMBER));
  if (bad >= 0)
    throw invalidInput(
      [...path, String(bad)],
      `${bad} of vector must be a number from ${-MAX_NUMBER} to ${MAX_NUMBER}, got ${vector[bad]}`,
    );
  if (norm(vector) === 0)
    throw invalidInput(path, 'vector must point somewhere; all its numbers are 0, so its length is 0');
}

/** The strongest slot can stand for a source only where there are two. */
function checkSource(sae: Sae, source: EditTarget | null, target: EditTarget): void {
  if (source) {
    checkTarget(sae, source, ['source']);
    if (sameTarget(sae, source, target))
      throw invalidInput(['target'], 'target must differ from the source; both are the same latent');
  } else if (sae.config.nConcepts < 2)
    throw invalidInput(
      ['source'],
      'source must be given: the SAE has no slots, of which the strongest would be it',
    );
}

export function sameTarget(sae: Sae, a: EditTarget, b: EditTarget): boolean {
  const latentOf = (target: EditTarget) =>
    'vector' in target ? null : 'concept' in target ? sae.slot(target.concept) : target.latent;
  return latentOf(a) !== null && latentOf(a) === latentOf(b);
}

function checkPlace(sae: Sae, { tokens, armed }: EditPlace, length: number): void {
  tokens?.forEach((token, i) => {
    if (Number.isInteger(token) && token >= 0 && token < length) return;
    throw invalidInput(
      ['place', 'tokens', String(i)],
      `token must be 0 to ${length - 1}, for the prompt has ${length} tokens; got ${token}`,
    );
  });
  if (armed?.target) checkTarget(sae, armed.target, ['place', 'armed']);
}
