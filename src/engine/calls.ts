/** Answers the short requests of a serving child. */
import { createSwapper } from './align/swapConcept.ts';
import type { EngineCall, EngineCallResult } from './protocol.ts';

/** For as long as the process lives, so that models and SAEs stay loaded between calls. */
const swapper = createSwapper();

/** @throws AppError what the call's method refuses. */
export async function answer({ method, params }: EngineCall): Promise<EngineCallResult> {
  return { method, result: await swapper.swap(params) };
}
