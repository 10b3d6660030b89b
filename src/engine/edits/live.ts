/** Live generation: one prompt, token by token, with the slots that each token was predicted from. */
import type { GenerationCall, GenerationItem } from '../contract/generation.ts';
import type { LoadedPair } from '../loaded.ts';
import { pickTokens } from '../model/generate.ts';
import { createSteering } from './steering.ts';
import { readPrompt } from './swapConcept.ts';

/**
 * Continues the prompt until its end token, `maxNewTokens` or nCtx. A consumer that leaves frees what the steps hold.
 * @throws {AppError} INVALID_INPUT for a prompt or an edit that does not fit the model or the SAE.
 */
export async function* generateLive(
  { model, sae }: LoadedPair,
  call: Omit<GenerationCall, 'model' | 'sae'>,
): AsyncGenerator<GenerationItem, void> {
  const prompt = readPrompt(model, call.prompt);
  const steering = createSteering(sae, call.edits, { alphas: [1], length: prompt.length, readsSlots: true });
  const { hookAt, slots } = steering;
  const { spell, eosId } = model.tokenizer;
  const speller = spell();
  const limit = Math.min(call.maxNewTokens, model.config.nCtx - prompt.length);
  let length = 0;
  let told = '';
  let reason: 'EOS' | 'LENGTH' = 'LENGTH';
  for await (const [pick] of pickTokens(model, [prompt], { sampling: call.sampling ?? undefined, hookAt })) {
    const { id, probability } = pick!;
    if (id === eosId) {
      reason = 'EOS';
      break;
    }
    const text = speller(id);
    told += text;
    yield { type: 'TOKEN', index: length, text, probability, slots: [...slots()] };
    length++;
    if (length === limit) break;
  }
  yield { type: 'FINISHED', text: told, reason };
}
