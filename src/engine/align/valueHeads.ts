/** What value heads tell apart: of a large vocabulary, the tokens with which a dataset's answers begin. */
import type { Prompt } from '../contract/dataset.ts';
import type { ValueHeads } from '../contract/sae.ts';
import type { LanguageModel } from '../model/languageModel.ts';
import { firstToken } from './captured.ts';

/** Times that a vocabulary must be as large as what answers begin with, for heads to leave the rest of it out. */
const MUCH_LARGER = 10;

/**
 * Heads for these prompts of one concept. Over the vocabulary of a pretrained model their weights would be most of an
 * SAE's (6 × 256 × 49,152 of SmolLM2's), and most of a step's time, for tokens that are never right.
 */
export function valueHeadsFor(model: LanguageModel, prompts: readonly Prompt[], hidden: number): ValueHeads {
  const { dVocab } = model.config;
  const answers = new Set(prompts.map(({ answer }) => answer));
  const tokens = [...new Set([...answers].map((answer) => firstToken(model, answer)))].sort((a, b) => a - b);
  if (tokens.length * MUCH_LARGER > dVocab) return { hidden, dVocab };
  return { hidden, dVocab: tokens.length, tokens };
}

/** The outputs that stand for these token ids, all of which must have one. */
export function outputsFor({ tokens }: ValueHeads, ids: Int32Array): Int32Array {
  if (!tokens) return ids;
  const outputs = new Map(tokens.map((id, output) => [id, output]));
  return ids.map((id) => outputs.get(id)!);
}

/** The token id that an output stands for. */
export function tokenOf({ tokens }: ValueHeads, output: number): number {
  return tokens ? tokens[output]! : output;
}
