/** What does not exist, called by the id that the caller sent. */
import { AppError } from '../errors.ts';
import { decodeGlobalId, idProblem } from './ids.ts';

/** The same error, with the global id among `args` in the place of the uuid in it. */
export function asSent(error: unknown, args: object): unknown {
  if (!(error instanceof AppError) || error.missing === null) return error;
  const { what, id } = error.missing;
  const sent = findSent(args, id);
  return sent === null
    ? error
    : new AppError(error.code, `${what} "${sent}" does not exist`, { cause: error, missing: { what, id } });
}

function findSent(value: unknown, uuid: string): string | null {
  if (typeof value === 'string')
    return idProblem(value) === null && decodeGlobalId(value).id === uuid ? value : null;
  if (typeof value !== 'object' || value === null) return null;
  for (const part of Object.values(value)) {
    const found = findSent(part, uuid);
    if (found !== null) return found;
  }
  return null;
}
