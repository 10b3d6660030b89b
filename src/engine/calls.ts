/** Answers the short requests of a serving child. */

import type { EngineCall, EngineCallResult, EngineStream, EngineStreamItem } from './contract/protocol.ts';
import { generateLive } from './edits/live.ts';
import { steer } from './edits/steer.ts';
import { swapConcept } from './edits/swapConcept.ts';
import { readActivations } from './latents/activations.ts';
import { capturedPrompts } from './latents/capture.ts';
import { readDifference } from './latents/difference.ts';
import { describeLatents } from './latents/page.ts';
import { surveyLatents } from './latents/survey.ts';
import { readLatentTokens } from './latents/tokens.ts';
import { createLoadedPairs, type LoadedPair } from './loaded.ts';

export interface Calls {
  /** @throws AppError what the call's method refuses, or that there is no room for what it needs. */
  answer(call: EngineCall): Promise<EngineCallResult>;
  /** Items as they are made; ends when its consumer leaves. Throws as `answer` does. */
  open(stream: EngineStream): AsyncGenerator<EngineStreamItem>;
}

/** @param memoryBytes What models and SAEs that stay loaded may take. */
export function createCalls(memoryBytes: number): Calls {
  const pairs = createLoadedPairs(memoryBytes);
  return {
    answer: (call) => pairs.use(call.params.model, call.params.sae, (pair) => answer(pair, call)),
    async *open({ method, params }) {
      const items = pairs.stream(params.model, params.sae, (pair) => generateLive(pair, params));
      for await (const item of items) yield { method, item };
    },
  };
}

async function answer(pair: LoadedPair, { method, params }: EngineCall): Promise<EngineCallResult> {
  switch (method) {
    case 'swap':
      return { method, result: await swapConcept(pair, params) };
    case 'steer':
      return { method, result: await steer(pair, params) };
    case 'latents': {
      const captured = await capturedPrompts(pair, params);
      return { method, result: captured && describeLatents(pair, captured, params.latents) };
    }
    case 'surveyLatents': {
      const captured = await capturedPrompts(pair, params);
      return { method, result: captured && (await surveyLatents(pair.sae, captured)) };
    }
    case 'conceptDifference':
      return { method, result: await readDifference(pair, params) };
    case 'activations':
      return { method, result: await readActivations(pair, params.text, params.chat) };
    case 'latentTokens':
      return { method, result: await readLatentTokens(pair, params.requests) };
  }
}
