/** Batched generation with a key–value cache, optionally with one activation of each prompt replaced. */
import { setImmediate as turnOfTheLoop } from 'node:timers/promises';
import * as tf from '@tensorflow/tfjs-core';
import { gatherRows } from '../ops.ts';
import { checkEdit, type ResidEdit, replaceRows } from './edit.ts';
import { block, causalMask, embed, type KeyValues, unembed } from './gpt2.ts';
import type { LanguageModel } from './languageModel.ts';
import { type Pick, pickGreedy, pickSampled, type Sampling } from './pick.ts';
import { checkPrompts, longest, padTokens, type Tokens } from './tokens.ts';

export interface GenerateOptions {
  maxNewTokens: number;
  /** Absent means greedy. */
  sampling?: Sampling;
  edit?: ResidEdit;
  /** Prompts computed together; results do not depend on it. */
  batchSize?: number;
  /** Awaited between tokens, so that the event loop stays free; by default one turn of it. */
  breathe?: () => Promise<unknown>;
}

export interface GeneratedToken extends Pick {
  text: string;
}

export interface Generation {
  text: string;
  /** Without the end token. */
  tokens: GeneratedToken[];
  /** `EOS`: the model ended; `LENGTH`: `maxNewTokens` or the context was reached. */
  reason: 'EOS' | 'LENGTH';
}

/**
 * Continues each prompt (token ids) until its end token, `maxNewTokens` or nCtx. Equal to generating one by one.
 * @throws {AppError} INVALID_INPUT for an empty prompt, one of more than nCtx tokens, or an edit that does not fit.
 */
export async function generate(
  model: LanguageModel,
  prompts: readonly Tokens[],
  options: GenerateOptions,
): Promise<Generation[]> {
  checkPrompts(model.config, prompts);
  if (options.edit) checkEdit(model.config, prompts, options.edit);
  const { batchSize = 256 } = options;
  const results: Generation[] = [];
  for (let start = 0; start < prompts.length; start += batchSize) {
    results.push(...(await generateBatch(model, prompts.slice(start, start + batchSize), start, options)));
  }
  return results;
}

/** What the model holds of the sequences so far; all tensors are owned by the generation loop. */
interface DecodeState {
  /** `[B, V]`, of the token that comes next. */
  logits: tf.Tensor2D;
  /** One a block, over the padded prompts and every token generated since. */
  cache: KeyValues[];
}

async function generateBatch(
  model: LanguageModel,
  prompts: readonly Tokens[],
  start: number,
  options: GenerateOptions,
): Promise<Generation[]> {
  const { maxNewTokens, sampling, breathe = turnOfTheLoop } = options;
  const rows = prompts.map((prompt) => ({
    limit: Math.min(maxNewTokens, model.config.nCtx - prompt.length),
    tokens: [] as Pick[],
    ended: false,
  }));
  const open = () => rows.some((row) => !row.ended && row.tokens.length < row.limit);
  const pick = sampling ? pickSampled(sampling, start, prompts.length) : pickGreedy;
  let state = prefill(model, prompts, start, options.edit);
  try {
    for (let made = 0; open(); made++) {
      const picks = await pick(state.logits);
      rows.forEach((row, i) => {
        if (row.ended || row.tokens.length >= row.limit) return;
        if (picks[i]!.id === model.tokenizer.eosId) row.ended = true;
        else row.tokens.push(picks[i]!);
      });
      await breathe();
      if (!open()) break;
      const previous = state;
      state = decode(
        model,
        prompts,
        made,
        picks.map(({ id }) => id),
        previous,
      );
      disposeState(previous);
    }
  } finally {
    disposeState(state);
  }
  return rows.map((row) => describe(model, row));
}

function describe({ tokenizer }: LanguageModel, row: { tokens: Pick[]; ended: boolean }): Generation {
  return {
    text: tokenizer.decode(row.tokens.map(({ id }) => id)).trim(),
    tokens: row.tokens.map((token) => ({ ...token, text: tokenizer.decode([token.id]) })),
    reason: row.ended ? 'EOS' : 'LENGTH',
  };
}

/** Runs the prompts, padded at the right to the longest; the logits are those after each prompt's last token. */
function prefill(
  { config, weights }: LanguageModel,
  prompts: readonly Tokens[],
  start: number,
  edit: ResidEdit | undefined,
): DecodeState {
  const [B, T, C] = [prompts.length, longest(prompts), config.dModel];
  return tidied(() => {
    const positions = tf.slice2d(weights['wpe.weight'] as tf.Tensor2D, [0, 0], [T, C]); // [T, C]
    let x = tf.add(embed(weights, padTokens(prompts, T)), positions) as tf.Tensor3D; // [B, T, C]
    const mask = causalMask(T);
    const cache: KeyValues[] = [];
    for (let layer = 0; layer < config.nLayers; layer++) {
      const { resid, present } = block(config, weights, layer, x, mask);
      x = edit?.layer === layer ? replaceRows(resid, prompts, start, edit) : resid;
      cache.push(present);
    }
    const lastRows = tf.tensor1d(
      prompts.map((prompt, i) => i * T + prompt.length - 1),
      'int32',
    );
    const last = tf.reshape(gatherRows(tf.reshape(x, [B * T, C]), lastRows), [B, 1, C]);
    return { logits: tf.reshape(unembed(config, weights, last as tf.Tensor3D), [B, config.dVocab]), cache };
  });
}

/** Feeds the token just picked, the `made`-th new one, at its own position in every sequence. */
function decode(
  { config, weights }: LanguageModel,
  prompts: readonly Tokens[],
  made: number,
  ids: number[],
  previous: DecodeState,
): DecodeState {
  const [B, C] = [prompts.length, config.dModel];
  return tidied(() => {
    const places = prompts.map((prompt) => Math.min(prompt.length + made, config.nCtx - 1)); // full rows idle
    const positions = gatherRows(weights['wpe.weight'] as tf.Tensor2D, tf.tensor1d(places, 'int32'));
    const tokens = tf.tensor2d(ids, [B, 1], 'int32');
    let x = tf.add(embed(weights, tokens), tf.reshape(positions, [B, 1, C])) as tf.Tensor3D; // [B, 1, C]
    const mask = cacheMask(prompts, made);
    const cache: KeyValues[] = [];
    for (let layer = 0; layer < config.nLayers; layer++) {
      const { resid, present } = block(config, weights, layer, x, mask, previous.cache[layer]);
      x = resid;
      cache.push(present);
    }
    return { logits: tf.reshape(unembed(config, weights, x), [B, config.dVocab]), cache };
  });
}

/** `[B, 1, 1, T + made + 1]`: hides the padding between a prompt's end and the first generated token. */
function cacheMask(prompts: readonly Tokens[], made: number): tf.Tensor4D {
  const T = longest(prompts);
  const width = T + made + 1;
  const mask = new Float32Array(prompts.length * width);
  prompts.forEach((prompt, i) => {
    mask.fill(-1e9, i * width + prompt.length, i * width + T);
  });
  return tf.tensor4d(mask, [prompts.length, 1, 1, width]);
}

/** `tf.tidy` for a nested result, whose type it cannot express. */
function tidied(run: () => DecodeState): DecodeState {
  return tf.tidy(run as unknown as () => tf.TensorContainer) as unknown as DecodeState;
}

function disposeState({ logits, cache }: DecodeState): void {
  tf.dispose([logits, ...cache.flatMap(({ k, v }) => [k, v])]);
}
