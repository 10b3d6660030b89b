/** One concept swap on one prompt, as the API offers it. */
import { invalidInput } from '../../errors.ts';
import type { Continuation, SwapCall, SwapResult } from '../contract/swap.ts';
import type { LoadedPair } from '../loaded.ts';
import { type Generation, generate } from '../model/generate.ts';
import type { LanguageModel } from '../model/languageModel.ts';
import { strongest } from '../sae/validation.ts';
import { armedHook, SLOT_ON } from './armed.ts';
import { captureResidPost } from './capture.ts';
import { editResid } from './swapMethods.ts';

/**
 * Continues the prompt greedily as it is, and with the edit in the SAE's layer: at its last token, or armed.
 * @throws {AppError} INVALID_INPUT naming the part of the call that does not fit the model or the SAE.
 */
export async function swapConcept(
  { model, sae }: LoadedPair,
  call: Omit<SwapCall, 'model' | 'sae'>,
): Promise<SwapResult> {
  const { config, settings } = sae;
  const tokens = readPrompt(model, call.prompt);
  checkConcept('target', call.target, config.nConcepts);
  const h = await captureResidPost(model, [tokens], { layer: settings.layer });
  const source = call.source ?? strongest(sae.slots(h), 0, config.nConcepts);
  checkConcept('source', source, config.nConcepts);
  if (source === call.target) {
    const why = call.source === null ? "it is the prompt's strongest slot, " : '';
    throw invalidInput(['target'], `target must differ from the source; ${why}both are ${source}`);
  }
  const edit = { off: sae.slot(source), on: sae.slot(call.target), alpha: call.alpha };
  const { resid, before, after } = editResid(sae, h, [edit], call.method);
  const fires = !call.armed || before[source]! > SLOT_ON;
  const { maxNewTokens } = call;
  const { layer } = settings;
  const [baseline] = await generate(model, [tokens], { maxNewTokens });
  const armed = { ...edit, threshold: SLOT_ON };
  const how = call.armed
    ? { hookAt: () => armedHook(sae, layer, [armed], call.method) }
    : { edit: { layer, values: resid } };
  const [result] = await generate(model, [tokens], { maxNewTokens, ...how });
  return {
    source,
    target: call.target,
    baseline: continuation(baseline!),
    result: continuation(result!),
    slots: Array.from(before, (value, concept) => ({
      index: sae.slot(concept),
      concept,
      before: value,
      after: fires ? after[concept]! : value,
    })),
  };
}

/** Token ids of a prompt that leaves room for an answer. */
export function readPrompt({ config, tokenizer }: LanguageModel, prompt: string): number[] {
  const tokens = tokenizer.encode(prompt);
  if (tokens.length >= 1 && tokens.length < config.nCtx) return tokens;
  throw invalidInput(['prompt'], `prompt must be 1 to ${config.nCtx - 1} tokens, got ${tokens.length}`);
}

function checkConcept(field: 'source' | 'target', concept: number, nConcepts: number): void {
  if (Number.isInteger(concept) && concept >= 0 && concept < nConcepts) return;
  throw invalidInput([field], `${field} must be a concept index from 0 to ${nConcepts - 1}, got ${concept}`);
}

function continuation({ text, tokens }: Generation): Continuation {
  return { text, tokens: tokens.map(({ text, probability }) => ({ text, probability })) };
}
