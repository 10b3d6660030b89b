/** One prompt under the same edits at several strengths: what they share is computed once, the rest as one batch. */
import * as tf from '@tensorflow/tfjs-core';
import { invalidInput } from '../../errors.ts';
import { MAX_STEERED_TOKENS, type SteerCall, type SteerResult } from '../contract/edits.ts';
import type { LoadedPair } from '../loaded.ts';
import {
  branchTrunk,
  collectRows,
  type DecodeState,
  decode,
  disposeState,
  disposeTrunk,
  joinStates,
  prefill,
  runTrunk,
} from '../model/decode.ts';
import type { ResidHook } from '../model/decoder.ts';
import { generateFrom } from '../model/generate.ts';
import type { LanguageModel } from '../model/languageModel.ts';
import type { Tokens } from '../model/tokens.ts';
import { createSteering } from './steering.ts';
import { continuationOf, readPrompt } from './swapConcept.ts';

/** Rows of a prompt of T tokens that pass the upper blocks together have at most this many pairs of tokens. */
const PAIRS_AT_ONCE = 2 ** 21;

/** Weights times tokens that are made: some twenty seconds on two cores, so that a caller does not wait in vain. */
const MAX_WORK = 2e11;

/**
 * Continues the prompt greedily as it is, and with all edits at each alpha.
 * @throws {AppError} INVALID_INPUT naming the part of the call that does not fit the model or the SAE.
 */
export async function steer(
  { model, sae }: LoadedPair,
  call: Omit<SteerCall, 'model' | 'sae'>,
): Promise<SteerResult> {
  const prompt = readPrompt(model, call.prompt);
  const alphas = [null, ...call.alphas];
  const maxNewTokens = Math.min(call.maxNewTokens, model.config.nCtx - prompt.length);
  checkSize(model, alphas.length, prompt.length, maxNewTokens);
  const { hookAt, reachesBack } = createSteering(sae, call.edits, { alphas, length: prompt.length });
  const begin = reachesBack ? branch : step;
  const state = begin(model, prompt, alphas.length, hookAt(0));
  const [baseline, ...results] = await generateFrom(model, state, { maxNewTokens, hookAt });
  return { baseline: continuationOf(baseline!), results: results.map(continuationOf) };
}

function checkSize({ weights }: LanguageModel, rows: number, prompt: number, made: number): void {
  const tokens = rows * (prompt + made);
  if (tokens > MAX_STEERED_TOKENS)
    throw invalidInput(
      ['alphas'],
      `alphas must be so few that all rows together have at most ${MAX_STEERED_TOKENS} tokens; ${rows - 1} alphas and the baseline, of ${prompt} prompt tokens and ${made} to be made each, come to ${tokens}`,
    );
  const nParams = Object.values(weights).reduce((sum, { size }) => sum + size, 0);
  const most = Math.floor(MAX_WORK / nParams / rows);
  if (made > Math.max(1, most))
    throw invalidInput(
      ['maxNewTokens'],
      `maxNewTokens must be at most ${Math.max(1, most)} with ${rows - 1} alphas and a model of ${nParams.toLocaleString('en-US')} weights, got ${made}`,
    );
}

/** Edits from the last token on: everything before it is the same in all rows. */
function step(model: LanguageModel, prompt: Tokens, rows: number, hook: ResidHook): DecodeState {
  const before = prefill(model, [prompt.slice(0, -1)]);
  const all = Array.from({ length: rows }, () => prompt.at(-1)!);
  const copies = collectRows(
    [before],
    all.map(() => ({ state: 0, row: 0 })),
  );
  try {
    return decode(model, copies, all, hook);
  } finally {
    disposeState(before);
    disposeState(copies);
  }
}

/** Edits of earlier tokens: the blocks up to the edit run once, those above for each row. */
function branch(model: LanguageModel, prompt: Tokens, rows: number, hook: ResidHook): DecodeState {
  const trunk = runTrunk(model, [prompt], hook.layer);
  const atOnce = Math.max(1, Math.floor(PAIRS_AT_ONCE / prompt.length ** 2));
  const states: DecodeState[] = [];
  let edited: tf.Tensor3D | undefined;
  try {
    edited = tf.tidy(() => hook.apply(tf.tile(trunk.resid, [rows, 1, 1])));
    for (let start = 0; start < rows; start += atOnce) {
      const count = Math.min(atOnce, rows - start);
      const part = tf.slice3d(edited, [start, 0, 0], [count, -1, -1]);
      states.push(branchTrunk(model, trunk, part));
      part.dispose();
    }
    return joinStates(states);
  } finally {
    for (const state of states) disposeState(state);
    edited?.dispose();
    disposeTrunk(trunk);
  }
}
