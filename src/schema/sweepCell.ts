/** What a swap sweep measures: cells of one method at one alpha, and their pairs of concepts. */

import type { SweepCell } from '../runs/swapSweep.ts';
import { builder } from './builder.ts';
import { SOURCE, TARGET } from './conceptOfRun.ts';
import { CellMethod } from './intervention.ts';
import { CATEGORY_KEPT, KNOWN, LEFT_OUT, LOOSE } from './judged.ts';
import { RateRef } from './rate.ts';
import { SweepControl } from './swapSweepSettings.ts';

const rateOf = (successes: number, trials: number) => (trials === 0 ? null : successes / trials);
const isolationOf = (cell: SweepCell) => ({
  trials: cell.otherPrompts + cell.texts,
  successes: cell.otherPromptsKept + cell.textsKept,
});

export const SweepCellRef = builder.interfaceRef<SweepCell>('SweepCell').implement({
  description: 'One method at one alpha in a sweep, over all pairs.',
  resolveType: ({ edited }) => (edited === 'CONCEPT' ? 'SwapSweepResult' : 'SwapSweepControl'),
  fields: (t) => ({
    method: t.field({
      type: CellMethod,
      description: 'How the edit is made.',
      resolve: ({ method }) => method,
    }),
    alpha: t.exposeFloat('alpha', {
      description:
        'What the target’s latent is set to, or how strongly its direction is added; 1, without a meaning, of a REPLACEMENT.',
    }),
    trials: t.exposeInt('trials', { description: 'Number of swaps tried.' }),
    successRate: t.float({
      nullable: true,
      description: 'Share of swaps whose whole answer is the target’s fact, 0–1; null without trials.',
      resolve: ({ successes, trials }) => rateOf(successes, trials),
    }),
    success: t.field({
      type: RateRef,
      description: '`successRate` with its counts and confidence interval.',
      resolve: ({ successes, trials }) => ({ successes, trials }),
    }),
    loose: t.field(LOOSE),
    categoryKept: t.field(CATEGORY_KEPT),
    known: t.field(KNOWN),
    leftOut: t.exposeInt('leftOut', { description: LEFT_OUT }),
    isolation: t.float({
      nullable: true,
      description:
        'Share of prompts about other concepts, and of texts, whose greedy continuation the armed swap leaves as it is, 0–1; null where it was left out. `otherPrompts` and `texts` tell the two apart.',
      resolve: (cell) => rateOf(isolationOf(cell).successes, isolationOf(cell).trials),
    }),
    disentangle: t.float({
      nullable: true,
      description:
        'RAVEL’s score (Huang et al. 2024): the mean of cause, which is `successRate`, and of isolation on `otherPrompts`, 0–1; null without either.',
      resolve: ({ successes, trials, otherPrompts, otherPromptsKept }) => {
        const [cause, isolation] = [rateOf(successes, trials), rateOf(otherPromptsKept, otherPrompts)];
        return cause === null || isolation === null ? null : (cause + isolation) / 2;
      },
    }),
    isolationRate: t.field({
      type: RateRef,
      description: '`isolation` with its counts and confidence interval.',
      resolve: isolationOf,
    }),
    otherPrompts: t.field({
      type: RateRef,
      description: 'Isolation on prompts about concepts other than the source.',
      resolve: (cell) => ({ trials: cell.otherPrompts, successes: cell.otherPromptsKept }),
    }),
    texts: t.field({
      type: RateRef,
      description:
        'Isolation on texts, which ask nothing, where they state nothing of the source: the model goes on behind their first half.',
      resolve: (cell) => ({ trials: cell.texts, successes: cell.textsKept }),
    }),
    statements: t.field({
      type: RateRef,
      description:
        'The same on texts that state the source’s own fact, no part of `isolation`: low where the slot is on also when the model is about to state its concept unasked, 1 where it is on for questions alone.',
      resolve: (cell) => ({ trials: cell.statements, successes: cell.statementsKept }),
    }),
  }),
});

export const SwapSweepResult = builder.objectRef<SweepCell>('SwapSweepResult').implement({
  description: 'What the slots (or MEAN_DIFFERENCE, which uses none) reach with one method at one alpha.',
  interfaces: [SweepCellRef],
});

export const SwapSweepControl = builder.objectRef<SweepCell>('SwapSweepControl').implement({
  description: 'What a control reaches with one method at one alpha, on the same prompts as the slots.',
  interfaces: [SweepCellRef],
  fields: (t) => ({
    kind: t.field({
      type: SweepControl,
      description: 'What is edited instead.',
      resolve: ({ edited }) => edited as typeof SweepControl.$inferType,
    }),
  }),
});

type PairShape = SweepCell['pairs'][number] & { runId: string };

export const SwapPair = builder.objectRef<PairShape>('SwapPairResult').implement({
  description: 'An entry of the pair matrix: swaps from one concept to another.',
  fields: (t) => ({
    source: t.field(SOURCE),
    target: t.field(TARGET),
    trials: t.exposeInt('trials', { description: 'Number of swaps tried.' }),
    successRate: t.float({
      nullable: true,
      description: 'Share that succeeded, 0–1; null without trials.',
      resolve: ({ successes, trials }) => rateOf(successes, trials),
    }),
    success: t.field({
      type: RateRef,
      description: '`successRate` with its counts and confidence interval.',
      resolve: (pair) => pair,
    }),
    loose: t.field(LOOSE),
    categoryKept: t.field(CATEGORY_KEPT),
    known: t.field(KNOWN),
    leftOut: t.int({ description: LEFT_OUT, resolve: ({ leftOut = 0 }) => leftOut }),
  }),
});
