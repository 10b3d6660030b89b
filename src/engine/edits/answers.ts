/** Swaps over many prompts: how the model answers under an edit, and whether that is what the target asks for. */
import { isAnswer } from '../../data/answers.ts';
import type { SweepSettings } from '../contract/swapSweepSettings.ts';
import { type Branch, continueBranches, type Prefixes, runPrefixes } from '../model/continue.ts';
import type { ResidHook } from '../model/decoder.ts';
import { replacing } from '../model/edit.ts';
import type { LanguageModel } from '../model/languageModel.ts';
import { rowsAtOnce } from '../model/room.ts';
import { longest, type Tokens } from '../model/tokens.ts';
import { stackRows, takeRows } from '../rows.ts';
import { armedEdit, armedHook, everyTokenHook } from './armed.ts';
import { type EditMethod, type Editor, latentsOf } from './editors.ts';
import { createRowEdits, type RowEdits } from './rows.ts';

/** Swaps that go through the model together at most, placed or armed. */
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
  method: EditMethod;
  alpha: number;
  /** At the tokens of the answer, where they are edited too; the same as `alpha` if left out. */
  alphaLater?: number;
}

/** At least one trial; the caller disposes. */
export function askTrials(model: LanguageModel, layer: number, trials: readonly Trial[]): AskedTrials {
  // By length, so that prompts that are run and kept together leave little padding.
  const prompts = [...new Map(trials.map(({ tokens }) => [tokens.join(), tokens])).values()].sort(
    (a, b) => a.length - b.length,
  );
  const places = new Map(prompts.map((tokens, i) => [tokens.join(), i]));
  const branches = trials.map(({ tokens, expected }): Branch => {
    const prompt = places.get(tokens.join())!;
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
      const known = rows.get(editor) ?? createRowEdits(editor.sae, h, latentsOf(editor));
      rows.set(editor, known);
      return known;
    },
    dispose: () => prefixes.dispose(),
  };
}

type Answer = (asked: AskedTrials, edits: CellEdits, breathe: () => Promise<void>) => Promise<string[]>;

/** The model's answer to each trial, by where the edit stands. */
export const ANSWER = {
  LAST_TOKEN: (asked, { alphaLater: _, ...edits }, breathe) => answerPlaced(asked, edits, breathe, false),
  ANSWER: (asked, edits, breathe) => answerPlaced(asked, edits, breathe, true),
  ARMED: answerArmed,
} satisfies Record<SweepSettings['placement'], Answer>;

/** Edits the last prompt token, and if asked to, what follows. */
function answerPlaced(
  asked: AskedTrials,
  { editor, method, alpha, alphaLater = alpha }: CellEdits,
  breathe: () => Promise<void>,
  later: boolean,
): Promise<string[]> {
  const editsAt = (strength: number) => asked.trials.map(({ pair }) => editor.edit(method, pair, strength));
  const laterEdits = later ? editsAt(alphaLater) : null;
  const hookOf =
    laterEdits &&
    ((open: readonly number[]) =>
      everyTokenHook(
        editor.sae,
        asked.layer,
        open.map((i) => laterEdits[i]!),
      ));
  return answerReplaced(asked, asked.rowsOf(editor)(editsAt(alpha)), hookOf, breathe);
}

/**
 * The model's answer to each trial with these activations `[trials, dModel]` at the last prompt token; `laterHook` edits
 * those of some trials at the tokens that follow.
 */
export async function answerReplaced(
  { model, layer, prefixes, branches }: AskedTrials,
  resid: Float32Array,
  laterHook: ((open: readonly number[]) => ResidHook) | null,
  breathe: () => Promise<void>,
): Promise<string[]> {
  const { dModel } = model.config;
  const answers: string[] = [];
  const limit = branches.reduce((most, branch) => Math.max(most, branch.limit), 0);
  const atOnce = rowsAtOnce(model.config, longest(prefixes.prompts) + limit, PLACED_AT_ONCE);
  for (let start = 0; start < branches.length; start += atOnce) {
    const values = resid.subarray(start * dModel, (start + atOnce) * dModel);
    const editToken = (open: readonly number[], step: number) => {
      if (step > 0) return laterHook?.(open.map((i) => start + i));
      const edit = { layer, values: takeRows(values, open, dModel) };
      return replacing(
        edit,
        open.map(() => [0]),
        0,
      );
    };
    const batch = branches.slice(start, start + atOnce);
    const made = await continueBranches(model, prefixes, batch, editToken, breathe);
    answers.push(...made.map((tokens) => model.tokenizer.decode(tokens).trim()));
  }
  return answers;
}

async function answerArmed(
  { model, layer, trials, branches }: AskedTrials,
  cell: CellEdits,
  breathe: () => Promise<void>,
): Promise<string[]> {
  const hookOf = armedHooks(
    cell,
    layer,
    trials.map(({ pair }) => pair),
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

/** The hook of some rows of a batch at a step: 0 is the last prompt token, below 0 is before it, n > 0 the n-th token made. */
export type RowHooks = (rows: readonly number[], step: number) => ResidHook | undefined;

/** A cell's swaps of these pairs, one a row, armed at every position; in the answer with its own alpha. */
export function armedHooks(
  { editor, method, alpha, alphaLater = alpha }: CellEdits,
  layer: number,
  pairs: readonly number[],
): RowHooks {
  const armed = (strength: number) => pairs.map((pair) => armedEdit(editor, method, pair, strength));
  const inPrompt = armed(alpha);
  const inAnswer = alphaLater === alpha ? inPrompt : armed(alphaLater);
  return (rows, step) => {
    const edits = step > 0 ? inAnswer : inPrompt;
    return armedHook(
      editor.sae,
      layer,
      rows.map((row) => edits[row]!),
    );
  };
}

/** Greedy continuations of all prompts, each position of prompt `i` passing through the hook that `i` belongs to. */
export async function continueAll(
  model: LanguageModel,
  prompts: readonly Tokens[],
  hookOf: RowHooks,
  limitOf: (row: number) => number,
  breathe: () => Promise<void>,
): Promise<number[][]> {
  const made: number[][] = [];
  const limit = prompts.reduce((most, _, row) => Math.max(most, limitOf(row)), 0);
  const atOnce = rowsAtOnce(model.config, longest(prompts) + limit, ARMED_AT_ONCE);
  for (let start = 0; start < prompts.length; start += atOnce) {
    const batch = prompts.slice(start, start + atOnce);
    const prefixes = runPrefixes(
      model,
      batch,
      hookOf(
        batch.map((_, i) => start + i),
        -1,
      ),
    );
    try {
      const branches = batch.map((_, i): Branch => ({ prompt: i, limit: limitOf(start + i) }));
      const open = (at: readonly number[], step: number) =>
        hookOf(
          at.map((i) => start + i),
          step,
        );
      made.push(...(await continueBranches(model, prefixes, branches, open, breathe)));
    } finally {
      prefixes.dispose();
    }
  }
  return made;
}

/** The judge: whether the whole answer is one of those expected. */
export function isExpected(
  { prompting }: LanguageModel,
  answer: string,
  expected: readonly string[],
): boolean {
  return isAnswer(answer, expected, prompting ?? {});
}

/** Tokens of the longest of these answers, as they follow a prompt. */
export function longestAnswer({ asking }: LanguageModel, expected: readonly string[]): number {
  return Math.max(...expected.map((value) => asking.answer(value).length));
}

/** For each trial whether its answer is the target's, the last prompt token alone being edited. */
export async function findSuccesses(
  asked: AskedTrials,
  edits: CellEdits,
  breathe: () => Promise<void>,
): Promise<boolean[]> {
  const answers = await ANSWER.LAST_TOKEN(asked, edits, breathe);
  return answers.map((answer, i) => isExpected(asked.model, answer, asked.trials[i]!.expected));
}
