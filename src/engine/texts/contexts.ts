/** Cuts the documents of a corpus, in a random order, to what a model reads together. */
import { invalidInput } from '../../errors.ts';
import { createRandom } from '../../random.ts';
import type { Tokens } from '../model/tokens.ts';
import type { Corpus } from './corpus.ts';

/** Documents that are read at a time. */
const READ_AHEAD = 64;

/** Where reading goes on: at a token of the `document`-th document in the order of its pass over the corpus. */
export interface ContextPosition {
  epoch: number;
  document: number;
  token: number;
}

export interface Contexts {
  /** Contexts of so many tokens together; the last may be cut short, and what is behind the cut comes next. */
  take(tokens: number): Promise<Tokens[]>;
  position(): ContextPosition;
}

export interface ContextOptions {
  encode(text: string): number[];
  /** Longest context. */
  length: number;
  /** Of the order: each pass over the corpus has its own. */
  seed: number;
  /** Tells streams of one seed apart. */
  stream: string;
}

/** @throws {AppError} INVALID_INPUT, from `take`, when no document of the corpus has a token. */
export function createContexts(corpus: Corpus, options: ContextOptions, from?: ContextPosition): Contexts {
  const { encode, length, seed, stream } = options;
  let { epoch, document, token } = from ?? { epoch: 0, document: 0, token: 0 };
  let order: Int32Array | null = null;
  /** Token ids of documents from `document` on. */
  let ahead: number[][] = [];
  /** Whether this pass had a token. */
  let found = document > 0 || token > 0;

  const orderOf = (): Int32Array => {
    order ??= permutation(corpus.documents, seed, stream, epoch);
    return order;
  };
  const nextDocument = () => {
    ahead.shift();
    document++;
    token = 0;
    if (document < corpus.documents) return;
    if (!found) throw invalidInput(['corpusId'], 'no document of the corpus has a token of this model');
    [epoch, document, order, found] = [epoch + 1, 0, null, false];
  };
  const readAhead = async () => {
    const chosen = orderOf().subarray(document, document + READ_AHEAD);
    const texts = await Promise.all(Array.from(chosen, (index) => corpus.read(index)));
    ahead = texts.map(encode);
  };

  return {
    position: () => ({ epoch, document, token }),
    async take(tokens) {
      const contexts: Tokens[] = [];
      for (let left = tokens; left > 0; ) {
        if (ahead.length === 0) await readAhead();
        const ids = ahead[0]!;
        const context = ids.slice(token, token + Math.min(length, left));
        if (context.length > 0) {
          contexts.push(context);
          found = true;
        }
        left -= context.length;
        token += context.length;
        if (token >= ids.length) nextDocument();
      }
      return contexts;
    },
  };
}

/** Numbers 0 … n − 1 in a random order. */
function permutation(n: number, seed: number, stream: string, epoch: number): Int32Array {
  const random = createRandom(seed, 'documents', stream, epoch);
  const order = Int32Array.from({ length: n }, (_, i) => i);
  for (let i = n - 1; i > 0; i--) {
    const j = random.int(i + 1);
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  return order;
}
