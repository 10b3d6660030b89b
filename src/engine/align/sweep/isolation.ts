/** Armed swaps where they must change nothing, prompts and texts about other concepts, and how far they reach into texts about their own. */

import type { SwapMethod } from '../../contract/swap.ts';
import type { SweepCell } from '../../contract/swapSweep.ts';
import { type Branch, continueBranches, runPrefixes } from '../../model/continue.ts';
import type { LanguageModel } from '../../model/languageModel.ts';
import type { Tokens } from '../../model/tokens.ts';
import { type ArmedEdit, armedHook } from '../armed.ts';
import { captureResidPost } from '../capture.ts';
import { setsLatent } from '../swapMethods.ts';
import type { SweepEditor } from './editors.ts';
import type { IsolationCase } from './trials.ts';

/** Tokens by which continuations are compared. */
const MAX_NEW_TOKENS = 8;
const BATCH = 128;

type IsolationCounts = Pick<
  SweepCell,
  'otherPrompts' | 'otherPromptsKept' | 'texts' | 'textsKept' | 'statements' | 'statementsKept'
>;

/** A prompt or text with how the model goes on by itself. */
interface Undisturbed {
  tokens: Tokens;
  continuation: readonly number[];
  /** Rows of its positions, continuation included, in `h`. */
  rows: readonly [from: number, to: number];
}

export interface Isolation {
  /** Counts over all pairs for an editor, a method and an alpha. */
  measure(editor: SweepEditor, method: SwapMethod, alpha: number): Promise<IsolationCounts>;
  /** Armed continuations that were run so far. */
  runs(): number;
}

/**
 * Prepares the cases: how each text goes on untouched, and what the residual stream holds at every position of it.
 * A swap that fires at none of them changes nothing, so only the others are run.
 */
export async function prepareIsolation(
  model: LanguageModel,
  layer: number,
  cases: readonly IsolationCase[],
  breathe: () => Promise<void>,
): Promise<Isolation> {
  const { undisturbed, h } = await continueUndisturbed(model, layer, cases, breathe);
  const firing = new Map<SweepEditor, readonly IsolationCase[]>();
  let runs = 0;
  return {
    runs: () => runs,
    async measure(editor, method, alpha) {
      const fired = firing.get(editor) ?? cases.filter(firesIn(editor, undisturbed, h));
      firing.set(editor, fired);
      runs += fired.length;
      const changed = await countChanged(
        model,
        layer,
        { editor, method, alpha },
        fired,
        undisturbed,
        breathe,
      );
      const count = (kind: IsolationCase['kind']) => cases.filter((one) => one.kind === kind).length;
      return {
        otherPrompts: count('PROMPT'),
        otherPromptsKept: count('PROMPT') - changed.PROMPT,
        texts: count('TEXT'),
        textsKept: count('TEXT') - changed.TEXT,
        statements: count('STATEMENT'),
        statementsKept: count('STATEMENT') - changed.STATEMENT,
      };
    },
  };
}

async function continueUndisturbed(
  model: LanguageModel,
  layer: number,
  cases: readonly IsolationCase[],
  breathe: () => Promise<void>,
): Promise<{ undisturbed: Map<string, Undisturbed>; h: Float32Array }> {
  const texts = [...new Set(cases.map(({ text }) => text))];
  const prompts = texts.map((text) => model.tokenizer.encode(text));
  const continuations = await continueAll(model, prompts, () => undefined, breathe);
  const sequences = prompts.map((tokens, i) => [...tokens, ...continuations[i]!]);
  const positions = sequences.map((tokens) => tokens.map((_, position) => position));
  const h = await captureResidPost(model, sequences, { layer, positions, breathe });
  let row = 0;
  const undisturbed = texts.map((text, i): [string, Undisturbed] => {
    const from = row;
    row += sequences[i]!.length;
    return [text, { tokens: prompts[i]!, continuation: continuations[i]!, rows: [from, row] }];
  });
  return { undisturbed: new Map(undisturbed), h };
}

/** Whether the pair's source latent is on anywhere in the text or in how it goes on. */
function firesIn(
  { sae, latents }: SweepEditor,
  undisturbed: ReadonlyMap<string, Undisturbed>,
  h: Float32Array,
): (one: IsolationCase) => boolean {
  const sources = [...new Set(latents.map(({ off }) => off))];
  const activations = sae.latents(h, sources);
  return ({ pair, text }) => {
    const { off, threshold } = latents[pair]!;
    const column = sources.indexOf(off);
    const [from, to] = undisturbed.get(text)!.rows;
    for (let row = from; row < to; row++) {
      if (activations[row * sources.length + column]! > threshold) return true;
    }
    return false;
  };
}

async function countChanged(
  model: LanguageModel,
  layer: number,
  { editor, method, alpha }: { editor: SweepEditor; method: SwapMethod; alpha: number },
  fired: readonly IsolationCase[],
  undisturbed: ReadonlyMap<string, Undisturbed>,
  breathe: () => Promise<void>,
): Promise<Record<IsolationCase['kind'], number>> {
  const changed = { PROMPT: 0, TEXT: 0, STATEMENT: 0 };
  const prompts = fired.map(({ text }) => undisturbed.get(text)!.tokens);
  const edits = armedEdits(
    editor,
    fired.map(({ pair }) => pair),
    method,
    alpha,
  );
  const hookOf = (rows: readonly number[]) =>
    armedHook(
      editor.sae,
      layer,
      rows.map((row) => edits[row]!),
      method,
    );
  const continuations = await continueAll(model, prompts, hookOf, breathe);
  fired.forEach(({ kind, text }, i) => {
    if (String(continuations[i]) !== String(undisturbed.get(text)!.continuation)) changed[kind]++;
  });
  return changed;
}

/** One armed edit a row, by the row's pair. */
export function armedEdits(
  { latents }: SweepEditor,
  pairs: readonly number[],
  method: SwapMethod,
  alpha: number,
): ArmedEdit[] {
  return pairs.map((pair) => {
    const { off, on, scale, threshold } = latents[pair]!;
    return { off, on, alpha: setsLatent(method) ? alpha * scale : alpha, threshold };
  });
}

/** Greedy continuations of all prompts, each position of prompt `i` passing through the hook that `i` belongs to. */
export async function continueAll(
  model: LanguageModel,
  prompts: readonly Tokens[],
  hookOf: (rows: readonly number[]) => ReturnType<typeof armedHook> | undefined,
  breathe: () => Promise<void>,
  limitOf: (row: number) => number = () => MAX_NEW_TOKENS,
): Promise<number[][]> {
  const made: number[][] = [];
  for (let start = 0; start < prompts.length; start += BATCH) {
    const batch = prompts.slice(start, start + BATCH);
    const rows = batch.map((_, i) => start + i);
    const prefixes = runPrefixes(model, batch, hookOf(rows));
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
