/** The controls that put another activation in the place of a prompt's own: how well any edit could do there. */
import * as tf from '@tensorflow/tfjs-core';
import type { SwapPlacement } from '../contract/swap.ts';
import type { SweepControl } from '../contract/swapSweepSettings.ts';
import type { ResidHook } from '../model/decoder.ts';
import type { Tokens } from '../model/tokens.ts';
import { stackRows } from '../rows.ts';
import { type AskedTrials, answerReplaced } from './answers.ts';
import type { ConceptPair } from './editors.ts';
import { minus } from './methods.ts';
import { continuePatched } from './patched.ts';
import type { Sums } from './sums.ts';

/** They have no latent that could be on or off, so they cannot be armed. */
export type FixedPlacement = Exclude<SwapPlacement, 'ARMED'>;

export const REPLACEMENTS = ['TRUE_ACTIVATION', 'SUM'] as const satisfies readonly SweepControl[];
export type Replacement = (typeof REPLACEMENTS)[number];

/** What they need to know of a trial. */
export interface ReplacedTrial extends ConceptPair {
  entity: string;
  /** The prompt that asks the target of the entity; null where there is none. */
  targetTokens: Tokens | null;
}

/** Trials as they were asked, and the same as replacements see them. */
export interface ReplacedTrials {
  asked: AskedTrials;
  trials: readonly ReplacedTrial[];
  /** Fitted where the control is asked for. */
  sums: Sums | null;
}

type Answers = (
  given: ReplacedTrials,
  placement: FixedPlacement,
  breathe: () => Promise<void>,
) => Promise<(string | null)[]>;

/** The model's answer to each trial under a control; null where it has nothing to put in. */
export const REPLACED: Record<Replacement, Answers> = {
  async TRUE_ACTIVATION({ asked: { model, layer, trials, branches }, trials: known }, placement, breathe) {
    const own = known.flatMap(({ targetTokens }, i) =>
      targetTokens ? [{ i, tokens: trials[i]!.tokens, target: targetTokens, limit: branches[i]!.limit }] : [],
    );
    const made = await continuePatched(model, layer, own, placement === 'ANSWER', breathe);
    const answers = new Array<string | null>(known.length).fill(null);
    own.forEach(({ i }, row) => {
      answers[i] = model.tokenizer.decode(made[row]!).trim();
    });
    return answers;
  },
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
