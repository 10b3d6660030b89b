/** Batched generation with a key–value cache, optionally with one activation of each prompt replaced. */
import { setImmediate as turnOfTheLoop } from 'node:timers/promises';
import type * as tf from '@tensorflow/tfjs-core';
import type { Sampling } from '../contract/generation.ts';
import { type DecodeState, decode, disposeState, prefill } from './decode.ts';
import type { ResidHook } from './decoder.ts';
import { checkEdit, type ResidEdit, replacing } from './edit.ts';
import type { LanguageModel } from './languageModel.ts';
import { type Pick, pickGreedy, pickSampled } from './pick.ts';
import { checkPrompts, type Tokens } from './tokens.ts';

export interface ContinueOptions {
  maxNewTokens: number;
  /** Awaited between tokens, so that the event loop stays free; by default one turn of it. */
  breathe?: () => Promise<unknown>;
}

export interface GenerateOptions extends ContinueOptions {
  /** Absent means greedy. */
  sampling?: Sampling;
  edit?: ResidEdit;
  /** Prompts computed together; results do not depend on it. */
  batchSize?: number;
}

export interface GeneratedToken extends Pick {
  /** What it adds to the text. */
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
  checkPrompts(model, prompts);
  if (options.edit) checkEdit(model.config, prompts, options.edit);
  const { batchSize = 256 } = options;
  const results: Generation[] = [];
  for (let start = 0; start < prompts.length; start += batchSize) {
    results.push(...(await generateBatch(model, prompts.slice(start, start + batchSize), start, options)));
  }
  return results;
}

async function generateBatch(
  model: LanguageModel,
  prompts: readonly Tokens[],
  start: number,
  options: GenerateOptions,
): Promise<Generation[]> {
  const { edit, sampling } = options;
  const hookAt = (step: number) => (edit && step === 0 ? replacing(edit, prompts, start) : undefined);
  const lengths = prompts.map(({ length }) => length);
  return collect(model, lengths, options, () => pickTokens(model, prompts, { sampling, start, hookAt }));
}

/** Goes on greedily from prompts that have run, as `generate` does; frees the state. `hookAt` is asked from step 1 on. */
export async function generateFrom(
  model: LanguageModel,
  state: DecodeState,
  options: ContinueOptions & { hookAt?: PickOptions['hookAt'] },
): Promise<Generation[]> {
  let begun = false;
  try {
    return await collect(model, state.lengths, options, () => {
      begun = true;
      return pickFrom(model, state, pickGreedy, options.hookAt);
    });
  } finally {
    if (!begun) disposeState(state);
  }
}

/** Takes picks until every row has ended or is as long as it may be. */
async function collect(
  model: LanguageModel,
  lengths: readonly number[],
  { maxNewTokens, breathe = turnOfTheLoop }: ContinueOptions,
  begin: () => AsyncGenerator<Pick[], never>,
): Promise<Generation[]> {
  const rows = lengths.map((length) => ({
    limit: Math.min(maxNewTokens, model.config.nCtx - length),
    tokens: [] as Pick[],
    ended: false,
  }));
  const open = () => rows.some((row) => !row.ended && row.tokens.length < row.limit);
  if (open())
    for await (const picks of begin()) {
      rows.forEach((row, i) => {
        if (row.ended || row.tokens.length >= row.limit) return;
        if (picks[i]!.id === model.tokenizer.eosId) row.ended = true;
        else row.tokens.push(picks[i]!);
      });
      await breathe();
      if (!open()) break;
    }
  return rows.map((row) => describe(model, row));
}

export interface PickOptions {
  /** Absent means greedy. */
  sampling?: Sampling;
  /** Number of the batch's first prompt, which names its stream of random draws. */
  start?: number;
  /** What rewrites the residual stream at a step: 0 is the prompts, n > 0 the n-th token fed back. */
  hookAt?(step: number): ResidHook | undefined;
}

/**
 * The next token of every prompt, step by step and without end: the consumer leaves when it has enough, which frees
 * what the steps hold. Rows that have ended go on being fed.
 */
export async function* pickTokens(
  model: LanguageModel,
  prompts: readonly Tokens[],
  { sampling, start = 0, hookAt }: PickOptions,
): AsyncGenerator<Pick[], never> {
  const pick = sampling ? pickSampled(sampling, start, prompts.length) : pickGreedy;
  return yield* pickFrom(model, prefill(model, prompts, hookAt?.(0)), pick, hookAt);
}

async function* pickFrom(
  model: LanguageModel,
  begun: DecodeState,
  pick: (logits: tf.Tensor2D) => Promise<Pick[]>,
  hookAt?: PickOptions['hookAt'],
): AsyncGenerator<Pick[], never> {
  let state = begun;
  try {
    for (let step = 1; ; step++) {
      const picks = await pick(state.logits);
      yield picks;
      const previous = state;
      const ids = picks.map(({ id }) => id);
      state = decode(model, previous, ids, hookAt?.(step));
      disposeState(previous);
    }
  } finally {
    disposeState(state);
  }
}

function describe({ tokenizer }: LanguageModel, row: { tokens: Pick[]; ended: boolean }): Generation {
  const spell = tokenizer.spell();
  const tokens = row.tokens.map((token) => ({ ...token, text: spell(token.id) }));
  return {
    text: tokens.map(({ text }) => text).join(''),
    tokens,
    reason: row.ended ? 'EOS' : 'LENGTH',
  };
}
