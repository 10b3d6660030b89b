/** Answers under the true activation: that of the prompt which asks what the swap is to make the model answer. */
import * as tf from '@tensorflow/tfjs-core';
import { likeliest, runPrefixes, takePicked } from '../model/continue.ts';
import { decode, disposeState, selectRows } from '../model/decode.ts';
import type { ResidHook } from '../model/decoder.ts';
import type { LanguageModel } from '../model/languageModel.ts';
import type { Tokens } from '../model/tokens.ts';

/** Prompts that go through the model together with those of their targets. */
const AT_ONCE = 128;

export interface PatchedPrompt {
  tokens: Tokens;
  /** The prompt whose activations are put in. */
  target: Tokens;
  /** Tokens at most. */
  limit: number;
}

/**
 * Continues each prompt greedily with `blocks.{layer}.resid_post` of the target's prompt in the place of its own: at the
 * last prompt token, and where `later` is set at every token made since, which the target's prompt is followed by too.
 * Returns the tokens without the end token.
 */
export async function continuePatched(
  model: LanguageModel,
  layer: number,
  prompts: readonly PatchedPrompt[],
  later: boolean,
  breathe: () => Promise<unknown>,
): Promise<number[][]> {
  const made: number[][] = [];
  for (let start = 0; start < prompts.length; start += AT_ONCE)
    made.push(...(await continueBatch(model, layer, prompts.slice(start, start + AT_ONCE), later, breathe)));
  return made;
}

/** The first half of a batch's rows are the prompts, the second half their targets. */
async function continueBatch(
  model: LanguageModel,
  layer: number,
  prompts: readonly PatchedPrompt[],
  later: boolean,
  breathe: () => Promise<unknown>,
): Promise<number[][]> {
  const { nCtx } = model.config;
  const made: number[][] = prompts.map(() => []);
  const room = prompts.map(({ tokens, target, limit }) =>
    Math.min(limit, nCtx - Math.max(tokens.length, target.length)),
  );
  let open = room.flatMap((tokens, i) => (tokens > 0 ? [i] : []));
  if (open.length === 0) return made;
  const both = [...open.map((i) => prompts[i]!.tokens), ...open.map((i) => prompts[i]!.target)];
  let { state } = runPrefixes(model, both);
  let next = both.map((tokens) => tokens.at(-1)!);
  try {
    for (let step = 0; ; step++) {
      const previous = state;
      const patched = step === 0 || later;
      state = decode(model, previous, next, patched ? secondForFirst(layer) : undefined);
      disposeState(previous);
      const picked = await likeliest(state.logits);
      await breathe();
      const going = takePicked(picked, open, { made, room, eosId: model.tokenizer.eosId });
      if (going.length === 0) return made;
      const all = state;
      const targets = later ? going.map((row) => open.length + row) : [];
      state = selectRows(all, [...going, ...targets]);
      disposeState(all);
      const said = going.map((row) => picked[row]!);
      next = later ? [...said, ...said] : said;
      open = going.map((row) => open[row]!);
    }
  } finally {
    disposeState(state);
  }
}

/** Puts the second half of the rows in the place of the first. */
function secondForFirst(layer: number): ResidHook {
  return {
    layer,
    apply(resid) {
      const [B, T, C] = resid.shape;
      const second = tf.slice3d(resid, [B / 2, 0, 0], [B / 2, T, C]);
      return tf.concat([second, second], 0);
    },
  };
}
