/** Answers the short requests of a serving child. */
import { swapConcept } from './align/swapConcept.ts';
import { createLoadedPairs } from './loaded.ts';
import type { EngineCall, EngineCallResult } from './protocol.ts';

/** For as long as the process lives. */
const pairs = createLoadedPairs();

/** @throws AppError what the call's method refuses. */
export async function answer({ method, params }: EngineCall): Promise<EngineCallResult> {
  return { method, result: await swapConcept(await pairs.get(params.model, params.sae), params) };
}
