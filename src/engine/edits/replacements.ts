/** The controls without alpha: those that put another activation in the place of a prompt's own, and asking outright. */
import * as tf from '@tensorflow/tfjs-core';
import type { SwapPlacement } from '../contract/swap.ts';
import type { SweepControl } from '../contract/swapSweepSettings.ts';
import type { ResidHook } from '../model/decoder.ts';
import type { Tokens } from '../model/tokens.ts';
import { stackRows } from '../rows.ts';
import { type AskedTrials, answerReplaced, continueAll } from './answers.ts';
import type { ConceptPair } from './editors.ts';
import { minus } from './methods.ts';
import { continuePatched, type PatchedPrompt, type Patching } from './patched.ts';
import type { Subspace } from './subspace.ts';
import type { Sums } from './sums.ts';

/** They have no latent that could be on or off, so they cannot be armed. */
export type FixedPlacement = Exclude<SwapPlacement, 'ARMED'>;

export const REPLACEMENTS = [
  'TRUE_ACTIVATION',
  'SUM',
  'PROMPT',
  'DAS',
] as const satisfies readonly SweepControl[];
export type Replacement = (typeof REPLACEMENTS)[number];

/** What they need to know of a trial. */
export interface ReplacedTrial extends ConceptPair {
  entity: string;
  /** The prompt that asks the target of the entity; null where there is none. */
  targetTokens: Tokens | null;
  /** A prompt that asks the target of another entity, where the control is asked for; null where there is none. */
  sourceTokens?: Tokens | null;
}

/** Trials as they were asked, and the same as replacements see them. */
export interface ReplacedTrials {
  asked: AskedTrials;
  trials: readonly ReplacedTrial[];
  /** Fitted where the control is asked for. */
  sums: Sums | null;
  /** Trained where the control is asked for. */
  subspace?: Subspace | null;
}

type Answers = (
  given: ReplacedTrials,
  placement: FixedPlacement,
  breathe: () => Promise<void>,
) => Promise<(string | null)[]>;

/** The model's answer to each trial under a control; null where it has nothing to put in. */
export const REPLACED: Record<Replacement, Answers> = {
  TRUE_ACTIVATION: ({ asked, trials }, placement, breathe) =>
    answerEach(
      asked,
      trials.map(({ targetTokens }) => targetTokens),
      (own) => continuePatched(asked.model, own, patchingOf(asked, placement, null), breathe),
    ),
  PROMPT: ({ asked, trials }, _, breathe) =>
    answerEach(
      asked,
      trials.map(({ targetTokens }) => targetTokens),
      (own) =>
        continueAll(
          asked.model,
          own.map(({ target }) => target),
          () => undefined,
          (row) => own[row]!.limit,
          breathe,
        ),
    ),
  DAS: ({ asked, trials, subspace }, placement, breathe) =>
    answerEach(
      asked,
      trials.map(({ sourceTokens }) => sourceTokens ?? null),
      (own) => continuePatched(asked.model, own, patchingOf(asked, placement, subspace!), breathe),
    ),
  async SUM({ asked, trials: known, sums }, placement, breathe) {
    const { layer, model, trials } = asked;
    const { dModel } = model.config;
    const rows = known.map(({ entity, target }) => sums!.sum(entity, target));
    const resid = new Float32Array(rows.length * dModel);
    rows.forEach((row, i) => {
      resid.set(row ?? trials[i]!.h, i * dModel);
    });
    const changes = known.map(({ source, target }) => ({
      h: minus(sums!.effect(target), sums!.effect(source)),
    }));
    const later = (open: readonly number[]) =>
      addingHook(
        layer,
        open.map((i) => changes[i]!),
      );
    const answers = await answerReplaced(asked, resid, placement === 'ANSWER' ? later : null, breathe);
    return answers.map((answer, i) => (rows[i] ? answer : null));
  },
};

function patchingOf({ layer }: AskedTrials, placement: FixedPlacement, subspace: Subspace | null): Patching {
  return { layer, later: placement === 'ANSWER', subspace };
}

/** The answers to the trials that have another prompt, by what continues them; null to the others. */
async function answerEach(
  { model, trials, branches }: AskedTrials,
  others: readonly (Tokens | null)[],
  goOn: (own: readonly PatchedPrompt[]) => Promise<number[][]>,
): Promise<(string | null)[]> {
  const own = others.flatMap((target, i) =>
    target ? [{ i, tokens: trials[i]!.tokens, target, limit: branches[i]!.limit }] : [],
  );
  const made = await goOn(own);
  const answers = new Array<string | null>(others.length).fill(null);
  own.forEach(({ i }, row) => {
    answers[i] = model.tokenizer.decode(made[row]!).trim();
  });
  return answers;
}

/** Adds a direction `h [dModel]` to every token of a sequence, one a sequence. */
function addingHook(layer: number, directions: readonly { h: Float32Array }[]): ResidHook {
  return {
    layer,
    apply(resid) {
      const [B, , C] = resid.shape;
      return tf.add(resid, tf.tensor3d(stackRows(directions, C), [B, 1, C]));
    },
  };
}
