/** Armed swaps where they must change nothing, and how far they reach where they may. */
import { captureResidPost } from '../align/capture.ts';
import type { LanguageModel } from '../model/languageModel.ts';
import type { Tokens } from '../model/tokens.ts';
import { armedHooks, type CellEdits, continueAll } from './answers.ts';
import { thresholdOf } from './armed.ts';
import type { Editor } from './editors.ts';

/** What a pair's swap, armed at every position, is tried on. */
export interface IsolationCase<Kind extends string = string> {
  pair: number;
  kind: Kind;
  tokens: Tokens;
}

/** Cases of a kind: those asked, and those whose greedy continuation stayed the same. */
export interface Kept {
  asked: number;
  kept: number;
}

export interface Isolation<Kind extends string> {
  measure(edits: CellEdits): Promise<Record<Kind, Kept>>;
  /** Takes an editor's cell for measured, as an earlier attempt did. */
  skip(editor: Editor): void;
  /** Armed continuations that the cells so far took, whoever ran them. */
  runs(): number;
}

/** A sequence with how the model goes on by itself. */
interface Undisturbed {
  continuation: readonly number[];
  /** Rows of its positions, continuation included, in `h`. */
  rows: readonly [from: number, to: number];
}

interface Untouched {
  of(tokens: Tokens): Undisturbed;
  /** The residual stream at every position of every sequence and continuation, `[rows, dModel]`. */
  h: Float32Array;
}

export interface IsolationOptions {
  layer: number;
  /** Tokens by which continuations are compared. */
  maxNewTokens: number;
  breathe(): Promise<void>;
}

/**
 * Prepares the cases: how each sequence goes on untouched, and what the residual stream holds at every position of it.
 * A swap that fires at none of them changes nothing, so only the others are run.
 */
export async function prepareIsolation<Kind extends string>(
  model: LanguageModel,
  kinds: readonly Kind[],
  cases: readonly IsolationCase<Kind>[],
  options: IsolationOptions,
): Promise<Isolation<Kind>> {
  const untouched = await continueUntouched(model, cases, options);
  const firing = new Map<Editor, readonly IsolationCase<Kind>[]>();
  let runs = 0;
  const take = (editor: Editor) => {
    const fired = firing.get(editor) ?? cases.filter(firesIn(editor, untouched));
    firing.set(editor, fired);
    runs += fired.length;
    return fired;
  };
  return {
    runs: () => runs,
    skip: (editor) => void take(editor),
    async measure(edits) {
      const fired = take(edits.editor);
      const changed = await findChanged(model, edits, fired, untouched, options);
      const count = (all: readonly IsolationCase[], kind: Kind) =>
        all.reduce((sum, one) => sum + Number(one.kind === kind), 0);
      const counts = kinds.map((kind): [Kind, Kept] => {
        const asked = count(cases, kind);
        return [kind, { asked, kept: asked - count(changed, kind) }];
      });
      return Object.fromEntries(counts) as Record<Kind, Kept>;
    },
  };
}

/** Two preparations as one, for cases that are read in two ways. */
export function joinIsolations<Kind extends string>(
  one: Isolation<Kind>,
  other: Isolation<Kind>,
): Isolation<Kind> {
  return {
    runs: () => one.runs() + other.runs(),
    skip(editor) {
      one.skip(editor);
      other.skip(editor);
    },
    async measure(edits) {
      const counts = await one.measure(edits);
      for (const [kind, { asked, kept }] of Object.entries<Kept>(await other.measure(edits))) {
        counts[kind as Kind].asked += asked;
        counts[kind as Kind].kept += kept;
      }
      return counts;
    },
  };
}

async function continueUntouched(
  model: LanguageModel,
  cases: readonly IsolationCase[],
  { layer, maxNewTokens, breathe }: IsolationOptions,
): Promise<Untouched> {
  const prompts = [...new Map(cases.map(({ tokens }) => [tokens.join(), tokens])).values()];
  const continuations = await continueAll(
    model,
    prompts,
    () => undefined,
    () => maxNewTokens,
    breathe,
  );
  const sequences = prompts.map((tokens, i) => [...tokens, ...continuations[i]!]);
  const positions = sequences.map((tokens) => tokens.map((_, position) => position));
  const h = await captureResidPost(model, sequences, { layer, positions, breathe });
  let row = 0;
  const undisturbed = prompts.map((tokens, i): [string, Undisturbed] => {
    const from = row;
    row += sequences[i]!.length;
    return [tokens.join(), { continuation: continuations[i]!, rows: [from, row] }];
  });
  const known = new Map(undisturbed);
  return { of: (tokens) => known.get(tokens.join())!, h };
}

/** Whether the pair's source latent is on anywhere in the sequence or in how it goes on. */
function firesIn({ sae, swaps }: Editor, { of, h }: Untouched): (one: IsolationCase) => boolean {
  const sources = [...new Set(swaps.map(({ off }) => off.latent))];
  const activations = sae.latents(h, sources);
  const { dModel } = sae.config;
  const isSink = (row: number) => sae.isSink(h.subarray(row * dModel, (row + 1) * dModel));
  return ({ pair, tokens }) => {
    const { off } = swaps[pair]!;
    const column = sources.indexOf(off.latent);
    const [from, to] = of(tokens).rows;
    for (let row = from; row < to; row++)
      if (activations[row * sources.length + column]! > thresholdOf(off) && !isSink(row)) return true;
    return false;
  };
}

async function findChanged(
  model: LanguageModel,
  cell: CellEdits,
  fired: readonly IsolationCase[],
  { of }: Untouched,
  { layer, maxNewTokens, breathe }: IsolationOptions,
): Promise<IsolationCase[]> {
  const continuations = await continueAll(
    model,
    fired.map(({ tokens }) => tokens),
    armedHooks(
      cell,
      layer,
      fired.map(({ pair }) => pair),
    ),
    () => maxNewTokens,
    breathe,
  );
  return fired.filter(({ tokens }, i) => String(continuations[i]) !== String(of(tokens).continuation));
}
