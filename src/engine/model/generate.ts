/** Batched generation with a key–value cache, optionally with one activation of each prompt replaced. */
import { setImmediate as turnOfTheLoop } from 'node:timers/promises';
import type { Sampling } from '../contract/generation.ts';
import { decode, disposeState, prefill } from './decode.ts';
import type { ResidHook } from './decoder.ts';
import { checkEdit, type ResidEdit, replacing } from './edit.ts';
import type { LanguageModel } from './languageModel.ts';
import { type Pick, pickGreedy, pickSampled } from './pick.ts';
import { checkPrompts, type Tokens } from './tokens.ts';

export interface GenerateOptions {
  maxNewTokens: number;
  /** Absent means greedy. */
  sampling?: Sampling;
  edit?: ResidEdit;
  /** Rewrites the residual stream at every step, in the place of `edit`; for prompts that make one batch. */
  hookAt?: PickOptions['hookAt'];
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

async function generateBatch(
  model: LanguageModel,
  prompts: readonly Tokens[],
  start: number,
  options: GenerateOptions,
): Promise<Generation[]> {
  const { maxNewTokens, sampling, edit, breathe = turnOfTheLoop } = options;
  const rows = prompts.map((prompt) => ({
    limit: Math.min(maxNewTokens, model.config.nCtx - prompt.length),
    tokens: [] as Pick[],
    ended: false,
  }));
  const open = () => rows.some((row) => !row.ended && row.tokens.length < row.limit);
  const hookAt = (step: number) =>
    edit && step === 0 ? replacing(edit, prompts, start) : options.hookAt?.(step);
  if (open())
    for await (const picks of pickTokens(model, prompts, { sampling, start, hookAt })) {
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
  let state = prefill(model, prompts, hookAt?.(0));
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
  return {
    text: tokenizer.decode(row.tokens.map(({ id }) => id)).trim(),
    tokens: row.tokens.map((token) => ({ ...token, text: tokenizer.decode([token.id]) })),
    reason: row.ended ? 'EOS' : 'LENGTH',
  };
}
