/** How much goes through a model together, so that a deep one holds no more memory than its weights. */
import type { ModelConfig } from '../contract/model.ts';
import { decoderOf } from '../contract/modelDecoder.ts';

/** Bytes that one block computes on its way; what small models are asked at once stays far below. */
const BLOCK_BYTES = 2 ** 26;
/** Bytes of the keys and values of a batch, and of its logits before and after a token. */
const STATE_BYTES = 2 ** 27;
/** Below this, weights are read more often than anything is saved. */
const LEAST_ROWS = 16;

/** Tokens that run through a block together. */
export function tokensAtOnce({ dModel, dMlp }: ModelConfig): number {
  const held = 4 * (10 * dModel + 5 * dMlp); // bytes of a token, about
  return Math.max(1, Math.floor(BLOCK_BYTES / held));
}

/** Sequences, at most `most`, that go on token by token together until they have `width` tokens. */
export function rowsAtOnce(config: ModelConfig, width: number, most: number): number {
  const { nKeyValueHeads, dHead } = decoderOf(config).attention;
  const row = 4 * (2 * nKeyValueHeads * dHead * config.nLayers * width + 2 * config.dVocab);
  return Math.min(most, Math.max(LEAST_ROWS, Math.floor(STATE_BYTES / row)));
}
