/** Swaps over many prompts: how the model answers under an edit, and whether that is what the target asks for. */
import { isAnswer } from '../../data/answers.ts';
import type { SwapMethod } from '../contract/swap.ts';
import type { SweepSettings } from '../contract/swapSweepSettings.ts';
import { type Branch, continueBranches, type Prefixes, runPrefixes } from '../model/continue.ts';
import type { ResidHook } from '../model/decoder.ts';
import { replacing } from '../model/edit.ts';
import type { LanguageModel } from '../model/languageModel.ts';
import type { Tokens } from '../model/tokens.ts';
import { stackRows, takeRows } from '../rows.ts';
import { armedEdit, armedHook } from './armed.ts';
import type { Editor } from './editors.ts';
import { createRowEdits, type RowEdits } from './rows.ts';

/** Swaps that go through the model together, placed or armed. */
const PLACED_AT_ONCE = 512;
const ARMED_AT_ONCE = 128;

/** A swap to try. */
export interface Trial {
  /** What the model reads, up to the edited position. */
  tokens: Tokens;
  /** Raw activation there, `[dModel]`. */
  h: Float32Array;
  /** Index of the editor's swap. */
  pair: number;
  /** What may follow; any of them counts. */
  expected: readonly string[];
}

/** Trials whose prompts have run once, up to their last token, so that edits of that one cost little. */
export interface AskedTrials {
  model: LanguageModel;
  layer: number;
  trials: readonly Trial[];
  prefixes: Prefixes;
  /** Each trial's prompt in `prefixes`, and the most tokens that its answer may have. */
  branches: readonly Branch[];
  /** The trials' activations under an editor's edits. */
  rowsOf(editor: Editor): RowEdits;
  dispose(): void;
}

/** A cell's edits: by whom, how, and how strongly. */
export interface CellEdits {
  editor: Editor;
  method: SwapMethod;
  alpha: number;
}

/** At least one trial; the caller disposes. */
export function askTrials(model: LanguageModel, layer: number, trials: readonly Trial[]): AskedTrials {
  const places = new Map<string, number>();
  const prompts: Tokens[] = [];
  const branches = trials.map(({ tokens, expected }): Branch => {
    const key = tokens.join();
    const prompt = places.get(key) ?? prompts.push(tokens) - 1;
    places.set(key, prompt);
    return { prompt, limit: longestAnswer(model, expected) + 1 }; // one more shows whether the answer ends there
  });
  const prefixes = runPrefixes(model, prompts);
  const h = stackRows(trials, model.config.dModel);
  const rows = new Map<Editor, RowEdits>();
  return {
    model,
    layer,
    trials,
    prefixes,
    branches,
    rowsOf(editor) {
      const latents = editor.swaps.flatMap(({ off, on }) => [off.latent, on.latent]);
      const known = rows.get(editor) ?? createRowEdits(editor.sae, h, latents);
      rows.set(editor, known);
      return known;
    },
    dispose: () => prefixes.dispose(),
  };
}

type Answer = (asked: AskedTrials, edits: CellEdits, breathe: () => Promise<void>) => Promise<string[]>;

/** The model's answer to each trial, by where the edit stands. */
export const ANSWER = { LAST_TOKEN: answerPlaced, ARMED: answerArmed } satisfies Record<
  SweepSettings['placement'],
  Answer
>;

async function answerPlaced(
  { model, layer, trials, prefixes, branches, rowsOf }: AskedTrials,
  { editor, method, alpha }: CellEdits,
  breathe: () => Promise<void>,
): Promise<string[]> {
  const { dModel } = model.config;
  const resid = rowsOf(editor)(trials.map(({ pair }) => editor.edit(method, pair, alpha)));
  const answers: string[] = [];
  for (let start = 0; start < branches.length; start += PLACED_AT_ONCE) {
    const values = resid.subarray(start * dModel, (start + PLACED_AT_ONCE) * dModel);
    const editLastToken = (open: readonly number[], step: number) => {
      if (step > 0) return undefined;
      const edit = { layer, values: takeRows(values, open, dModel) };
      return replacing(
        edit,
        open.map(() => [0]),
        0,
      );
    };
    const batch = branches.slice(start, start + PLACED_AT_ONCE);
    const made = await continueBranches(model, prefixes, batch, editLastToken, breathe);
    answers.push(...made.map((tokens) => model.tokenizer.decode(tokens).trim()));
  }
  return answers;
}

async function answerArmed(
  { model, layer, trials, branches }: AskedTrials,
  { editor, method, alpha }: CellEdits,
  breathe: () => Promise<void>,
): Promise<string[]> {
  const edits = trials.map(({ pair }) => armedEdit(editor, method, pair, alpha));
  const hookOf = (rows: readonly number[]) =>
    armedHook(
      editor.sae,
      layer,
      rows.map((row) => edits[row]!),
    );
  const made = await continueAll(
    model,
    trials.map(({ tokens }) => tokens),
    hookOf,
    (row) => branches[row]!.limit,
    breathe,
  );
  return made.map((tokens) => model.tokenizer.decode(tokens).trim());
}

/** Greedy continuations of all prompts, each position of prompt `i` passing through the hook that `i` belongs to. */
export async function continueAll(
  model: LanguageModel,
  prompts: readonly Tokens[],
  hookOf: (rows: readonly number[]) => ResidHook | undefined,
  limitOf: (row: number) => number,
  breathe: () => Promise<void>,
): Promise<number[][]> {
  const made: number[][] = [];
  for (let start = 0; start < prompts.length; start += ARMED_AT_ONCE) {
    const batch = prompts.slice(start, start + ARMED_AT_ONCE);
    const prefixes = runPrefixes(model, batch, hookOf(batch.map((_, i) => start + i)));
    try {
      const branches = batch.map((_, i): Branch => ({ prompt: i, limit: limitOf(start + i) }));
      const open = (at: readonly number[]) => hookOf(at.map((i) => start + i));
      made.push(...(await continueBranches(model, prefixes, branches, open, breathe)));
    } finally {
      prefixes.dispose();
    }
  }
  return made;
}

/** The judge: whether the whole answer is one of those expected. */
export function isExpected(answer: string, expected: readonly string[]): boolean {
  return isAnswer(answer, expected);
}

/** Tokens of the longest of these answers, as they follow a prompt. */
export function longestAnswer({ tokenizer }: LanguageModel, expected: readonly string[]): number {
  return Math.max(...expected.map((value) => tokenizer.encode(` ${value}`).length));
}

/** Trials whose edited answer is the target's. */
export async function countSuccesses(
  asked: AskedTrials,
  edits: CellEdits,
  breathe: () => Promise<void>,
): Promise<number> {
  const answers = await answerPlaced(asked, edits, breathe);
  return answers.filter((answer, i) => isExpected(answer, asked.trials[i]!.expected)).length;
}
