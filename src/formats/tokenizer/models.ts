/** How a word becomes tokens: as a whole, by its longest known parts, or by merging pairs. */
import { createBpe } from './bpe.ts';
import { asConfig, type Config, field, shown, unsupported } from './config.ts';

/** Token ids of a word that is not empty. */
export type Model = (word: string) => number[];

export interface LoadedModel {
  encode: Model;
  vocab: ReadonlyMap<string, number>;
  /** Stands for what is not known; null where nothing does. */
  unkToken: string | null;
}

/** @throws Error naming what is malformed or not supported. */
export function createModel(value: unknown): LoadedModel {
  const config = asConfig(value, 'model');
  const vocab = readVocab(config);
  if (config.type === 'BPE') {
    const unkToken =
      config.unk_token === undefined || config.unk_token === null ? null : field(config, 'unk_token', '');
    if (unkToken !== null) idOf(unkToken, vocab);
    return { encode: createBpe(config, vocab, unkToken), vocab, unkToken };
  }
  if (config.type === 'WordLevel') {
    const unkToken = field(config, 'unk_token', '<unk>');
    const unk = idOf(unkToken, vocab);
    return { encode: (word) => [vocab.get(word) ?? unk], vocab, unkToken };
  }
  if (config.type === 'WordPiece') {
    const unkToken = field(config, 'unk_token', '[UNK]');
    return { encode: createWordPiece(config, vocab, idOf(unkToken, vocab)), vocab, unkToken };
  }
  throw unsupported('model', config, ['BPE', 'WordLevel', 'WordPiece']);
}

function readVocab({ type, vocab }: Config): Map<string, number> {
  if (typeof vocab !== 'object' || vocab === null || Array.isArray(vocab))
    throw new Error(
      `the vocabulary of its ${type} model is ${shown(vocab)}; accepted is a map of tokens to ids`,
    );
  const entries = Object.entries(vocab);
  for (const [token, id] of entries)
    if (!Number.isSafeInteger(id) || id < 0)
      throw new Error(
        `the id of its token ${shown(token)} is ${shown(id)}; accepted are whole numbers from 0`,
      );
  return new Map(entries as [string, number][]);
}

function idOf(unkToken: string, vocab: ReadonlyMap<string, number>): number {
  const id = vocab.get(unkToken);
  if (id !== undefined) return id;
  throw new Error(`its unk_token ${shown(unkToken)} is not in its vocabulary`);
}

function createWordPiece(config: Config, vocab: ReadonlyMap<string, number>, unk: number): Model {
  const prefix = field(config, 'continuing_subword_prefix', '##');
  const limit = field(config, 'max_input_chars_per_word', 100);
  return (word) => {
    const characters = Array.from(word);
    if (characters.length > limit) return [unk];
    const ids: number[] = [];
    for (let start = 0; start < characters.length; ) {
      let end = characters.length;
      let id: number | undefined;
      for (; end > start; end--) {
        const part = characters.slice(start, end).join('');
        id = vocab.get(start > 0 ? prefix + part : part);
        if (id !== undefined) break;
      }
      if (id === undefined) return [unk];
      ids.push(id);
      start = end;
    }
    return ids;
  };
}
