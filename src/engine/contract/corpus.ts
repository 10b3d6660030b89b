/** A text corpus as the engine reads it: documents that are about nothing in particular. */

import type { AlignmentSettings } from './alignmentSettings.ts';

export interface CorpusRef {
  /** Path of its `.safetensors`; see `CORPUS_TENSORS`. */
  path: string;
  /** Names its contents: a checkpoint of a run on another corpus is not taken for one's own. */
  hash: string;
}

/** In the file: UTF-8 of all documents end to end, U8 `[bytes]`, and the bytes of each, I32 `[documents]`. */
export const CORPUS_TENSORS = { text: 'text', lengths: 'lengths' } as const;

/** What activations of a corpus are used for: the first stage, or the rows without a concept of the second. */
export type TextUse = 'PRETRAIN' | 'SILENCE';

/** For what a training with these settings needs a corpus. */
export function usesOfTexts(settings: AlignmentSettings): TextUse[] {
  const { pretrainOn, pretrain, silenceOn, weights, posttrain } = settings;
  const uses: TextUse[] = [];
  if (pretrainOn === 'TEXTS' && pretrain.steps > 0) uses.push('PRETRAIN');
  if (silenceOn === 'TEXTS' && weights.silence > 0 && posttrain.steps > 0) uses.push('SILENCE');
  return uses;
}
