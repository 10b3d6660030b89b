/** Answers the short requests of a serving child. */
import { swapConcept } from './align/swapConcept.ts';
import { generateLive } from './generation/generate.ts';
import { createLoadedPairs } from './loaded.ts';
import type { EngineCall, EngineCallResult, EngineStream, EngineStreamItem } from './protocol.ts';

/** For as long as the process lives. */
const pairs = createLoadedPairs();

/** @throws AppError what the call's method refuses. */
export async function answer({ method, params }: EngineCall): Promise<EngineCallResult> {
  return { method, result: await swapConcept(await pairs.get(params.model, params.sae), params) };
}

/** Items as they are made; ends when its consumer leaves. @throws AppError what the stream's method refuses. */
export async function* open({ method, params }: EngineStream): AsyncGenerator<EngineStreamItem> {
  const pair = await pairs.get(params.model, params.sae);
  for await (const item of generateLive(pair, params)) yield { method, item };
}
