/** Byte-pair encoding: the pair of neighbours that was merged first in training is merged first here. */
import { type Config, field, shown } from './config.ts';

interface Merge {
  rank: number;
  /** Of the token that the pair becomes. */
  id: number;
}

/** Words whose tokens are kept, so that frequent ones are not merged again and again. */
const CACHE_WORDS = 10_000;
const CACHE_LENGTH = 256;
/** More than any vocabulary has; a pair of ids below it is one safe number. */
const MAX_ID = 2 ** 26;

/** @throws Error naming what is malformed or not supported. */
export function createBpe(
  config: Config,
  vocab: ReadonlyMap<string, number>,
  unkToken: string | null,
): (word: string) => number[] {
  if (field(config, 'dropout', 0) !== 0)
    throw new Error('its BPE model has dropout, which makes tokens random');
  const whole = field(config, 'ignore_merges', false);
  const merges = readMerges(config, vocab);
  const split = createSplit(config, vocab, unkToken);
  const cache = new Map<string, number[]>();
  return (word) => {
    const known = cache.get(word);
    if (known) return known;
    const single = whole ? vocab.get(word) : undefined;
    const ids = single === undefined ? mergeAll(split(word), merges) : [single];
    if (word.length <= CACHE_LENGTH && cache.size < CACHE_WORDS) cache.set(word, ids);
    return ids;
  };
}

function readMerges(config: Config, vocab: ReadonlyMap<string, number>): Map<number, Merge> {
  const { merges } = config;
  if (!Array.isArray(merges))
    throw new Error(`merges of its BPE model is ${shown(merges)}; accepted is a list`);
  const prefix = field(config, 'continuing_subword_prefix', '');
  const read = new Map<number, Merge>();
  merges.forEach((merge: unknown, rank) => {
    const pair = typeof merge === 'string' ? merge.split(' ') : merge;
    if (!Array.isArray(pair) || pair.length !== 2 || !pair.every((part) => typeof part === 'string'))
      throw new Error(`merge ${rank} of its BPE model is ${shown(merge)}; accepted are pairs of tokens`);
    const [left, right] = pair as [string, string];
    const ids = [left, right, left + right.slice(prefix.length)].map((token) => {
      const id = vocab.get(token);
      if (id === undefined || id >= MAX_ID)
        throw new Error(
          `merge ${rank} of its BPE model names ${shown(token)}, which is not in its vocabulary`,
        );
      return id;
    });
    read.set(ids[0]! * MAX_ID + ids[1]!, { rank, id: ids[2]! });
  });
  return read;
}

/** A word's characters as tokens, before any merge. */
function createSplit(config: Config, vocab: ReadonlyMap<string, number>, unkToken: string | null) {
  const prefix = field(config, 'continuing_subword_prefix', '');
  const suffix = field(config, 'end_of_word_suffix', '');
  const fuses = field(config, 'fuse_unk', false);
  const byBytes = field(config, 'byte_fallback', false);
  const unk = unkToken === null ? null : vocab.get(unkToken)!;
  return (word: string): number[] => {
    const characters = Array.from(word);
    const ids: number[] = [];
    /** Unknown characters that have no token yet: several become one where they are fused. */
    let pending = false;
    const flush = () => {
      if (pending) ids.push(unk!);
      pending = false;
    };
    characters.forEach((character, i) => {
      const token = (i > 0 ? prefix : '') + character + (i === characters.length - 1 ? suffix : '');
      const id = vocab.get(token);
      if (id !== undefined) {
        flush();
        ids.push(id);
        return;
      }
      const bytes = byBytes ? byteIds(token, vocab) : null;
      if (bytes) ids.push(...bytes);
      else if (unk !== null) {
        if (!fuses) flush();
        pending = true;
      }
    });
    flush();
    return ids;
  };
}

/** Tokens such as `<0xE2>`, one a byte; null where one is missing. */
function byteIds(text: string, vocab: ReadonlyMap<string, number>): number[] | null {
  const ids = Array.from(Buffer.from(text), (byte) =>
    vocab.get(`<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`),
  );
  return ids.every((id) => id !== undefined) ? ids : null;
}

/** Merges the pair of the lowest rank, the leftmost of equals, until none can be. */
function mergeAll(ids: number[], merges: ReadonlyMap<number, Merge>): number[] {
  const find = (i: number): Merge | undefined =>
    i >= 0 && i + 1 < ids.length ? merges.get(ids[i]! * MAX_ID + ids[i + 1]!) : undefined;
  const pairs = ids.map((_, i) => find(i));
  for (;;) {
    let best = -1;
    for (let i = 0; i < pairs.length; i++)
      if (pairs[i] && (best < 0 || pairs[i]!.rank < pairs[best]!.rank)) best = i;
    if (best < 0) return ids;
    ids.splice(best, 2, pairs[best]!.id);
    pairs.splice(best, 1);
    pairs[best] = find(best);
    if (best > 0) pairs[best - 1] = find(best - 1);
  }
}
