/** Swaps of one hop, by one hand after another, and what is counted of them. */

import { SLOT_ON } from '../contract/edits.ts';
import type { HopEdit, HopSwapMeasure } from '../contract/hopSwap.ts';
import type { CellMethod, SwapMethod } from '../contract/swap.ts';
import type { HopPlace } from '../grok/places.ts';
import type { TwoHopQuestion } from '../grok/questions.ts';
import type { LanguageModel } from '../model/languageModel.ts';
import { askTrials, findSuccesses } from './answers.ts';
import { type Editor, latentsOf } from './editors.ts';
import type { HopTrial } from './hopTrials.ts';
import { type Kept, prepareIsolation } from './isolation.ts';
import { answerPlaces, judgePlaces, type PlacedTrials, placeTrials } from './placedTrials.ts';
import { createRowEdits, type RowEdits } from './rows.ts';

/** What swaps at one hop are tried on. */
export interface HopTrials {
  /** On TRAIN questions, to choose alpha by. */
  choosing: readonly HopTrial[];
  shown: readonly HopTrial[];
  withheld: readonly HopTrial[];
}

export interface HopGiven {
  model: LanguageModel;
  hop: 0 | 1;
  layer: number;
  trials: HopTrials;
  /** Held-out questions that the model answers rightly. */
  answered: readonly TwoHopQuestion[];
  breathe(): Promise<void>;
}

/** One way to edit, at one place or at several together. */
export interface Hand {
  edited: HopEdit;
  method: SwapMethod;
  /** For each trial of a set whether it succeeds. */
  succeeds(set: keyof HopTrials, alpha: number): Promise<boolean[]>;
  isolation(alpha: number): Promise<Kept>;
}

export interface HopLab {
  hop: 0 | 1;
  hands: readonly Hand[];
  dispose(): void;
}

/** Swaps where the hop's answer is predicted, and there alone; isolation is armed at every position. */
export async function prepareLab(
  { model, hop, layer, trials, answered, breathe }: HopGiven,
  editors: readonly Editor[],
): Promise<HopLab> {
  const cases = isolationCases(trials.shown, answered);
  // With the end token, which these questions are answered with too.
  const maxNewTokens = Math.max(0, ...cases.map(({ question: { tokens, from } }) => tokens.length - from));
  const isolation = await prepareIsolation(
    model,
    ['QUESTION'],
    cases.map(({ question, pair }) => {
      return { pair, kind: 'QUESTION' as const, tokens: question.tokens.slice(0, question.from) };
    }),
    { layer, maxNewTokens, breathe },
  );
  const ask = (own: readonly HopTrial[]) => (own.length > 0 ? askTrials(model, layer, own) : null);
  const asked = {
    choosing: ask(trials.choosing),
    shown: ask(trials.shown),
    withheld: ask(trials.withheld),
  };
  const hands = editors.flatMap((editor) =>
    editor.methods.map(
      (method): Hand => ({
        edited: editor.edited as HopEdit,
        method: method as SwapMethod,
        async succeeds(set, alpha) {
          const own = asked[set];
          return own ? findSuccesses(own, { editor, method, alpha }, breathe) : [];
        },
        isolation: async (alpha) => (await isolation.measure({ editor, method, alpha })).QUESTION,
      }),
    ),
  );
  const dispose = () => {
    for (const own of Object.values(asked)) own?.dispose();
  };
  return { hop, hands, dispose };
}

/**
 * Swaps at several places together, each by editors of its own in the same order. Isolation is armed at these places:
 * an edit is made at each where the source is on there.
 */
export async function preparePlaces(
  { model, hop, layer, trials, answered, breathe }: HopGiven,
  places: readonly HopPlace[],
  editors: readonly (readonly Editor[])[],
): Promise<HopLab> {
  const place = (own: readonly HopTrial[]) => placeTrials(model, own, places, layer, breathe);
  const placed = {
    choosing: await place(trials.choosing),
    shown: await place(trials.shown),
    withheld: await place(trials.withheld),
  };
  const quiet = await place(othersOf(hop, isolationCases(trials.shown, answered)));
  const before = quiet.trials.length > 0 ? await answerPlaces(model, layer, quiet, quiet.h, breathe) : [];
  const rowsOf = createRows();
  const valuesOf = (own: PlacedTrials, index: number, method: SwapMethod, alpha: number) =>
    editors.map((all, at) => {
      const editor = all[index]!;
      const edits = own.trials.map(({ pair }) => editor.edit(method, pair, alpha));
      return rowsOf(editor, own.h[at]!)(edits);
    });
  const answer = (own: PlacedTrials, values: readonly Float32Array[]) =>
    answerPlaces(model, layer, own, values, breathe);
  const hands = editors[0]!.flatMap((first, index) =>
    first.methods.map((named): Hand => {
      const method = named as SwapMethod;
      return {
        edited: first.edited as HopEdit,
        method,
        async succeeds(set, alpha) {
          const own = placed[set];
          if (own.trials.length === 0) return [];
          return judgePlaces(model, own.trials, await answer(own, valuesOf(own, index, method, alpha)));
        },
        async isolation(alpha) {
          if (quiet.trials.length === 0) return { asked: 0, kept: 0 };
          const values = valuesOf(quiet, index, method, alpha).map((edited, at) =>
            whereOn(editors[at]![index]!, quiet, quiet.h[at]!, edited),
          );
          const after = await answer(quiet, values);
          const kept = after.filter((tokens, i) => String(tokens) === String(before[i])).length;
          return { asked: after.length, kept };
        },
      };
    }),
  );
  return { hop, hands, dispose: () => {} };
}

/** Row edits of editors on activations, each read once. */
function createRows(): (editor: Editor, h: Float32Array) => RowEdits {
  const known = new Map<Editor, Map<Float32Array, RowEdits>>();
  return (editor, h) => {
    const own = known.get(editor) ?? new Map<Float32Array, RowEdits>();
    known.set(editor, own);
    const rows = own.get(h) ?? createRowEdits(editor.sae, h, latentsOf(editor));
    own.set(h, rows);
    return rows;
  };
}

/** `edited` in the rows where the source of their swap is on, `h` in the others; both `[trials, dModel]`. */
function whereOn(
  { sae, swaps }: Editor,
  { trials }: PlacedTrials,
  h: Float32Array,
  edited: Float32Array,
): Float32Array {
  const { dModel } = sae.config;
  const z = sae.latents(h);
  const values = h.slice();
  trials.forEach(({ pair }, i) => {
    const { latent, scale } = swaps[pair]!.off;
    if (z[i * sae.nLatents + latent]! > scale * SLOT_ON)
      values.set(edited.subarray(i * dModel, (i + 1) * dModel), i * dModel);
  });
  return values;
}

/** The swaps to shown pairs, each on a question that asks about its source at neither hop. */
function isolationCases(shown: readonly HopTrial[], answered: readonly TwoHopQuestion[]) {
  return shown.flatMap((trial, i) => {
    const others = answered.filter(({ relations }) => !relations.includes(trial.source));
    const question = others[i % Math.max(1, others.length)];
    return question ? [{ ...trial, question }] : [];
  });
}

/** These cases as trials, up to where the hop is read. */
function othersOf(hop: 0 | 1, cases: ReturnType<typeof isolationCases>): HopTrial[] {
  return cases.map((one) => ({
    ...one,
    tokens: one.question.tokens.slice(0, one.question.positions[hop] + 1),
  }));
}

/** At the alpha that does best on TRAIN questions. */
export async function measureHand(
  { hop }: Pick<HopLab, 'hop'>,
  hand: Hand,
  trials: HopTrials,
  nRelations: number,
  alphas: readonly number[],
): Promise<HopSwapMeasure> {
  const choosing = [];
  for (const alpha of alphas) choosing.push({ alpha, ...count(await hand.succeeds('choosing', alpha)) });
  const { alpha } = choosing.reduce((best, each) => (each.successes > best.successes ? each : best));
  const tried = {
    shown: await hand.succeeds('shown', alpha),
    withheld: await hand.succeeds('withheld', alpha),
  };
  const { asked: questions, kept } = await hand.isolation(alpha);
  const { edited, method } = hand;
  return {
    ...measureOf({ hop, edited, method, alpha }, trials, tried, nRelations),
    isolation: { questions, kept },
    choosing,
  };
}

type Tried = Record<'shown' | 'withheld', readonly (boolean | null)[]>;

/** Counts of tried swaps, over all and by relation, where it is turned off and where it is turned on. */
export function measureOf(
  { hop, ...what }: { hop: 0 | 1; edited: HopEdit; method: CellMethod; alpha: number },
  trials: HopTrials,
  tried: Tried,
  nRelations: number,
): Omit<HopSwapMeasure, 'isolation' | 'choosing'> {
  const of = (set: keyof Tried, side: 'source' | 'target', relation: number) =>
    count(tried[set].filter((_, i) => trials[set][i]![side] === relation));
  const side = (name: 'source' | 'target', relation: number) => ({
    shown: of('shown', name, relation),
    withheld: of('withheld', name, relation),
  });
  return {
    hop: (hop + 1) as 1 | 2,
    ...what,
    shown: count(tried.shown),
    withheld: count(tried.withheld),
    relations: Array.from({ length: nRelations }, (_, relation) => {
      return { relation, source: side('source', relation), target: side('target', relation) };
    }),
  };
}

/** Null stands for what could not be tried. */
export function count(right: readonly (boolean | null)[]) {
  const tried = right.filter((is) => is !== null);
  return { trials: tried.length, successes: tried.filter(Boolean).length };
}
