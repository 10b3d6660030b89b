/** How much memory there is, and what would not fit into it. */
import { totalmem } from 'node:os';
import { AppError } from './errors.ts';

/** Bytes that this process may have: those of the machine, or of the container that it runs in. */
export function memoryLimit(): number {
  // 0, or more than there is, where nothing constrains it.
  const constrained = process.constrainedMemory();
  return constrained > 0 ? Math.min(constrained, totalmem()) : totalmem();
}

/**
 * To be called before anything is read.
 * @param what Whose bytes these are: `the model as float32`.
 * @throws {AppError} LIMIT_EXCEEDED naming both numbers.
 */
export function checkMemory(what: string, bytes: number, limit = memoryLimit()): void {
  if (bytes <= limit) return;
  throw new AppError('LIMIT_EXCEEDED', `${what} needs ${bytes} bytes of memory; this machine has ${limit}`);
}
