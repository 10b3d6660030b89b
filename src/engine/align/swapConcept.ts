/** One concept swap on one prompt, as the API offers it. */
import { invalidInput } from '../../errors.ts';
import { type Generation, generate } from '../model/generate.ts';
import { type LanguageModel, loadLanguageModel } from '../model/languageModel.ts';
import { type LoadedSae, loadSae } from '../sae/file.ts';
import { strongest } from '../sae/validation.ts';
import { captureResidPost } from './capture.ts';
import type { Continuation, SwapCall, SwapResult } from './swap.ts';
import { editResid, readSlots } from './swapMethods.ts';

/** What stays loaded between swaps. */
interface Loaded {
  model: LanguageModel;
  sae: LoadedSae;
}

/** Answers swaps; keeps the models and SAEs of the last few calls on the device until `dispose`. */
export interface Swapper {
  swap(call: SwapCall): Promise<SwapResult>;
  dispose(): void;
}

/** @param capacity Pairs of model and SAE that stay loaded; the one unused for longest goes first. */
export function createSwapper(capacity = 4): Swapper {
  const loaded = new Map<string, Loaded>();
  const release = ({ model, sae }: Loaded) => {
    model.dispose();
    sae.dispose();
  };
  return {
    async swap(call) {
      const key = JSON.stringify([call.model.weights, call.sae]);
      const pair = loaded.get(key) ?? (await load(call));
      loaded.delete(key);
      loaded.set(key, pair); // newest last
      for (const [oldest, old] of loaded) {
        if (loaded.size <= capacity) break;
        loaded.delete(oldest);
        release(old);
      }
      return swapConcept(pair, call);
    },
    dispose() {
      for (const pair of loaded.values()) release(pair);
      loaded.clear();
    },
  };
}

async function load(call: SwapCall): Promise<Loaded> {
  const model = await loadLanguageModel(call.model);
  try {
    return { model, sae: await loadSae(call.sae) };
  } catch (error) {
    model.dispose();
    throw error;
  }
}

/**
 * Continues the prompt greedily as it is, and with the edit at its last token in the SAE's layer.
 * @throws {AppError} INVALID_INPUT naming the part of the call that does not fit the model or the SAE.
 */
export async function swapConcept(
  { model, sae }: Loaded,
  call: Omit<SwapCall, 'model' | 'sae'>,
): Promise<SwapResult> {
  const { config, settings } = sae;
  const tokens = readPrompt(model, call.prompt);
  checkConcept('target', call.target, config.nConcepts);
  const h = await captureResidPost(model, [tokens], { layer: settings.layer });
  const source = call.source ?? strongest(readSlots(sae, h), 0, config.nConcepts);
  checkConcept('source', source, config.nConcepts);
  if (source === call.target) {
    const why = call.source === null ? "it is the prompt's strongest slot, " : '';
    throw invalidInput(['target'], `target must differ from the source; ${why}both are ${source}`);
  }
  const edit = { off: config.nFree + source, on: config.nFree + call.target, alpha: call.alpha };
  const { resid, before, after } = editResid(sae, h, [edit], call.method);
  const { maxNewTokens } = call;
  const [baseline] = await generate(model, [tokens], { maxNewTokens });
  const replaced = { layer: settings.layer, values: resid };
  const [result] = await generate(model, [tokens], { maxNewTokens, edit: replaced });
  return {
    source,
    target: call.target,
    baseline: continuation(baseline!),
    result: continuation(result!),
    slots: Array.from(before, (value, concept) => ({
      index: config.nFree + concept,
      concept,
      before: value,
      after: after[concept]!,
    })),
  };
}

function readPrompt({ config, tokenizer }: LanguageModel, prompt: string): number[] {
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
