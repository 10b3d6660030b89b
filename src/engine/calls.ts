/** Answers the short requests of a serving child. */
import { swapConcept } from './align/swapConcept.ts';
import { generateLive } from './generation/generate.ts';
import { capturedPrompts } from './latents/capture.ts';
import { describeLatents } from './latents/page.ts';
import { searchLatents } from './latents/search.ts';
import { readLatentTokens } from './latents/tokens.ts';
import { createLoadedPairs } from './loaded.ts';
import type { EngineCall, EngineCallResult, EngineStream, EngineStreamItem } from './protocol.ts';

/** For as long as the process lives. */
const pairs = createLoadedPairs();

/** @throws AppError what the call's method refuses. */
export async function answer({ method, params }: EngineCall): Promise<EngineCallResult> {
  const pair = await pairs.get(params.model, params.sae);
  switch (method) {
    case 'swap':
      return { method, result: await swapConcept(pair, params) };
    case 'latents': {
      const captured = await capturedPrompts(pair, params);
      return { method, result: captured && describeLatents(pair, captured, params.latents) };
    }
    case 'searchLatents': {
      const captured = await capturedPrompts(pair, params);
      const { concept, count } = params;
      return { method, result: captured && (await searchLatents(pair.sae, captured, concept, count)) };
    }
    case 'latentTokens':
      return { method, result: await readLatentTokens(pair, params.requests) };
  }
}

/** Items as they are made; ends when its consumer leaves. @throws AppError what the stream's method refuses. */
export async function* open({ method, params }: EngineStream): AsyncGenerator<EngineStreamItem> {
  const pair = await pairs.get(params.model, params.sae);
  for await (const item of generateLive(pair, params)) yield { method, item };
}
