/** Greedy continuation of many sequences from a common store of prefixes; rows that have ended leave the batch. */
import * as tf from '@tensorflow/tfjs-core';
import { collectRows, type DecodeState, decode, disposeState, keepRows, prefill } from './decode.ts';
import type { ResidHook } from './decoder.ts';
import type { LanguageModel } from './languageModel.ts';
import { tokensAtOnce } from './room.ts';
import { longest, type Tokens } from './tokens.ts';

/** Prompts run up to their last token, from which any number of continuations may branch. */
export interface Prefixes {
  prompts: readonly Tokens[];
  /** The prompts' states in order, `atOnce` in each but the last, each padded to the longest of its own. */
  states: readonly DecodeState[];
  atOnce: number;
  dispose(): void;
}

/** Runs all but the last token of each prompt, through `hook` if there is one, which sees all at once; the caller disposes. */
export function runPrefixes(model: LanguageModel, prompts: readonly Tokens[], hook?: ResidHook): Prefixes {
  const prefixes = prompts.map((prompt) => prompt.slice(0, -1));
  const width = Math.max(1, longest(prefixes));
  const fitting = Math.max(1, Math.floor(tokensAtOnce(model.config) / width));
  const atOnce = hook ? prompts.length : Math.min(prompts.length, fitting);
  const states: DecodeState[] = [];
  for (let start = 0; start < prefixes.length; start += atOnce)
    states.push(prefill(model, prefixes.slice(start, start + atOnce), hook));
  const dispose = () => {
    for (const state of states) disposeState(state);
  };
  return { prompts, states, atOnce, dispose };
}

/** The states of some prompts, any number of times each, as one; the caller disposes. */
export function selectPrefixes({ states, atOnce }: Prefixes, prompts: readonly number[]): DecodeState {
  return collectRows(
    states,
    prompts.map((prompt) => ({ state: Math.floor(prompt / atOnce), row: prompt % atOnce })),
  );
}

/** A continuation to be made: which prompt, and how many tokens at most. */
export interface Branch {
  prompt: number;
  limit: number;
}

/**
 * Continues prompts greedily, each branch from its prefix's cache: the last prompt token and every token after it
 * pass through `hookOf`'s hook (`[open, 1, C]`). Returns the tokens of each branch without the end token.
 */
export async function continueBranches(
  model: LanguageModel,
  prefixes: Prefixes,
  branches: readonly Branch[],
  hookOf: (open: readonly number[], made: number) => ResidHook | undefined,
  breathe: () => Promise<unknown>,
): Promise<number[][]> {
  const { prompts } = prefixes;
  const room = branches.map(({ prompt, limit }) =>
    Math.min(limit, model.config.nCtx - prompts[prompt]!.length),
  );
  const made: number[][] = branches.map(() => []);
  let open = branches.flatMap((_, i) => (room[i]! > 0 ? [i] : []));
  if (open.length === 0) return made;
  let next = open.map((i) => prompts[branches[i]!.prompt]!.at(-1)!);
  let state = selectPrefixes(
    prefixes,
    open.map((i) => branches[i]!.prompt),
  );
  try {
    for (;;) {
      const previous = state;
      state = decode(model, previous, next, hookOf(open, previous.made));
      disposeState(previous);
      const picked = await likeliest(state.logits);
      await breathe();
      const going = takePicked(picked, open, { made, room, eosId: model.tokenizer.eosId });
      if (going.length === 0) return made;
      next = going.map((row) => picked[row]!);
      if (going.length < open.length) {
        state = keepRows(state, going);
        open = going.map((row) => open[row]!);
      }
    }
  } finally {
    disposeState(state);
  }
}

/** Adds to each open sequence the token that its row picked, unless that ends it; returns the rows that go on. */
export function takePicked(
  picked: Int32Array,
  open: readonly number[],
  {
    made,
    room,
    eosId,
  }: { made: number[][]; room: readonly number[]; eosId: LanguageModel['tokenizer']['eosId'] },
): number[] {
  return open.flatMap((i, row) => {
    if (picked[row] === eosId) return [];
    const length = made[i]!.push(picked[row]!);
    return length < room[i]! ? [row] : [];
  });
}

/** The most probable token of each row of `[B, V]`. */
export async function likeliest(logits: tf.Tensor2D): Promise<Int32Array> {
  const best = tf.argMax(logits, 1);
  const ids = await best.data<'int32'>();
  best.dispose();
  return ids;
}
