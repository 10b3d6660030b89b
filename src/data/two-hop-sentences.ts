/** Sentences in which the facts of published two-hop data are stated, where a file of them lies beside the data. */
import { z } from 'zod';
import type { FactItem, TextItem } from './items.ts';
import { check, notJson, readJson } from './jsonFile.ts';
import type { Bytes, ReadLimits } from './lines.ts';
import { Problems } from './problems.ts';
import { longText } from './text.ts';

export const SENTENCES_FILE = 'relation_sentences.json';

const sentence = longText
  .includes('{A}', { error: 'must have {A}, where the value goes' })
  .includes('{B}', { error: 'must have {B}, where the entity goes' });

const listOfSentences = z.array(sentence, { error: 'must be a list of sentences' }).min(1);

/** By relation. */
export type Sentences = ReadonlyMap<string, readonly string[]>;

/** @throws AppError INVALID_INPUT for what is no object of lists of sentences, or lacks a relation of the facts. */
export async function readSentences(
  bytes: Bytes,
  facts: readonly FactItem[],
  limits: ReadLimits,
): Promise<Sentences> {
  const value = await readJson(SENTENCES_FILE, bytes, limits);
  if (value === null || typeof value !== 'object' || Array.isArray(value) || value instanceof SyntaxError)
    throw notJson(SENTENCES_FILE, 'a JSON object with a list of sentences for every relation', value);
  const problems = new Problems(`${SENTENCES_FILE} relation`);
  const sentences = new Map<string, string[]>();
  for (const relation of new Set(facts.map(({ concept }) => concept))) {
    const given = (value as Record<string, unknown>)[relation];
    const refuse = (reason: string) => problems.add(relation, reason);
    const own = check(listOfSentences, given, refuse);
    if (own) sentences.set(relation, own);
  }
  problems.throwIfAny();
  return sentences;
}

/** Every fact in every sentence of its relation; none without sentences. */
export function* stateAll(facts: readonly FactItem[], sentences?: Sentences): Generator<TextItem> {
  for (const { concept, entity, value } of facts)
    for (const worded of sentences?.get(concept) ?? [])
      yield { type: 'text', text: fillIn(worded, value, entity), entity, split: 'TRAIN' };
}

/** In one go, so that a name with braces stays as it is. */
function fillIn(worded: string, value: string, entity: string): string {
  return worded.replaceAll(/\{A\}|\{B\}/g, (place) => (place === '{A}' ? value : entity));
}
