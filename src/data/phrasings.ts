/**
 * How a concept is asked about and stated. `{name}` stands for the entity and `{value}` for the value. Every
 * question ends in the name, so that the activation is read where entity and concept are first known together, and
 * the answer is what follows. Held-out phrasings are made of words that the training phrasings of the same concept
 * use: a word-level tokenizer has nothing to say about a word it never saw.
 */
import type { Split } from '../engine/contract/dataset.ts';

export interface Phrasings {
  questions: Readonly<Record<Split, readonly string[]>>;
  texts: readonly string[];
}

/** Fills in a phrasing; names and values are inserted as they are. */
export function fill(phrasing: string, name: string, value = ''): string {
  return phrasing.replace(/\{name\}|\{value\}/g, (slot) => (slot === '{name}' ? name : value));
}
