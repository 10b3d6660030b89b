/** Answers under another prompt's activation, whole as the true one is put in, or within a subspace. */
import * as tf from '@tensorflow/tfjs-core';
import { likeliest, takePicked } from '../model/continue.ts';
import { decode, disposeState, keepRows, prefill } from '../model/decode.ts';
import type { ResidHook } from '../model/decoder.ts';
import type { LanguageModel } from '../model/languageModel.ts';
import { rowsAtOnce } from '../model/room.ts';
import { longest, type Tokens } from '../model/tokens.ts';
import { interchange, type Subspace } from './subspace.ts';

/** Prompts that go through the model together at most, with those of their targets. */
const AT_ONCE = 128;

export interface PatchedPrompt {
  tokens: Tokens;
  /** The prompt whose activations are put in. */
  target: Tokens;
  /** Tokens at most. */
  limit: number;
}

export interface Patching {
  layer: number;
  /** Whether the tokens made since are edited too, by those of the target's prompt followed by them. */
  later: boolean;
  /** Where the activation becomes the target's; null is everywhere. */
  subspace: Subspace | null;
}

/**
 * Continues each prompt greedily with `blocks.{layer}.resid_post` of the target's prompt in the place of its own, at the
 * last prompt token at least. Returns the tokens without the end token.
 */
export async function continuePatched(
  model: LanguageModel,
  prompts: readonly PatchedPrompt[],
  patching: Patching,
  breathe: () => Promise<unknown>,
): Promise<number[][]> {
  const made: number[][] = [];
  const width = longest(prompts.flatMap(({ tokens, target }) => [tokens, target]));
  const limit = prompts.reduce((most, prompt) => Math.max(most, prompt.limit), 0);
  // Two rows a prompt.
  const atOnce = Math.ceil(rowsAtOnce(model.config, width + limit, 2 * AT_ONCE) / 2);
  for (let start = 0; start < prompts.length; start += atOnce)
    made.push(...(await continueBatch(model, prompts.slice(start, start + atOnce), patching, breathe)));
  return made;
}

/** The first half of a batch's rows are the prompts, the second half their targets. */
async function continueBatch(
  model: LanguageModel,
  prompts: readonly PatchedPrompt[],
  patching: Patching,
  breathe: () => Promise<unknown>,
): Promise<number[][]> {
  const { nCtx } = model.config;
  const { later } = patching;
  const made: number[][] = prompts.map(() => []);
  const room = prompts.map(({ tokens, target, limit }) =>
    Math.min(limit, nCtx - Math.max(tokens.length, target.length)),
  );
  let open = room.flatMap((tokens, i) => (tokens > 0 ? [i] : []));
  if (open.length === 0) return made;
  const both = [...open.map((i) => prompts[i]!.tokens), ...open.map((i) => prompts[i]!.target)];
  let state = prefill(
    model,
    both.map((tokens) => tokens.slice(0, -1)),
  );
  let next = both.map((tokens) => tokens.at(-1)!);
  try {
    for (let step = 0; ; step++) {
      const previous = state;
      const patched = step === 0 || later;
      state = decode(model, previous, next, patched ? secondForFirst(patching) : undefined);
      disposeState(previous);
      const picked = await likeliest(state.logits);
      await breathe();
      const going = takePicked(picked, open, { made, room, eosId: model.tokenizer.eosId });
      if (going.length === 0) return made;
      const targets = later ? going.map((row) => open.length + row) : [];
      state = keepRows(state, [...going, ...targets]);
      const said = going.map((row) => picked[row]!);
      next = later ? [...said, ...said] : said;
      open = going.map((row) => open[row]!);
    }
  } finally {
    disposeState(state);
  }
}

/** Puts the second half of the rows in the place of the first. */
function secondForFirst({ layer, subspace }: Patching): ResidHook {
  return {
    layer,
    apply(resid) {
      const [B, T, C] = resid.shape;
      const half = (from: number) => tf.slice3d(resid, [from, 0, 0], [B / 2, T, C]);
      const second = half(B / 2);
      if (!subspace) return tf.concat([second, second], 0);
      const flat = (h: tf.Tensor3D) => tf.reshape(h, [(B / 2) * T, C]) as tf.Tensor2D;
      const basis = tf.tensor2d(subspace.basis, [C, subspace.k]);
      const mixed = interchange(flat(half(0)), flat(second), basis);
      return tf.concat([tf.reshape(mixed, [B / 2, T, C]) as tf.Tensor3D, second], 0);
    },
  };
}
