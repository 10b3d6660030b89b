/** Runs that sweep concept swaps over methods, alphas and pairs. */
import type { StoredSweepSettings } from '../engine/align/sweep/job.ts';
import { type SweepSettings, sweepSettings } from '../engine/align/sweep/settings.ts';
import { type Run, runsByIds } from '../services/run.ts';
import { conceptsOfRuns } from '../services/slot.ts';
import { cellsOfRuns, type SweepCell, startSwapSweep } from '../services/swapSweep.ts';
import { builder } from './builder.ts';
import { conceptKeyOrId, idOf } from './ids.ts';
import { withoutNulls } from './input.ts';
import { SwapMethod } from './intervention.ts';
import { SwapPopulation } from './measures.ts';
import { addMutation } from './mutation.ts';
import { RateRef } from './rate.ts';
import { AlignmentRunRef, BaselineRunRef, ConceptRef, RunRef, SwapSweepRunRef } from './refs.ts';
import { StartRunSuccess } from './run.ts';
import { addSettings } from './settings.ts';
import { SplitRef } from './split.ts';

const DEFAULTS = sweepSettings.parse({});

const SweepControl = builder.enumType('SweepControl', {
  description: 'What a control of a sweep edits in the place of the slots.',
  values: {
    UNSUPERVISED_LATENT: {
      description:
        'The best single latent that an unsupervised SAE of the same size has for each concept; alpha counts in its mean activation.',
    },
    RANDOM_LATENT: {
      description:
        'Random free latents of the same SAE, drawn for each pair; alpha counts in their mean activation.',
    },
    MEAN_DIFFERENCE: {
      description:
        'No SAE: the difference of the mean activations of the two concepts, times alpha, is added.',
    },
  },
});

const SweepPlacement = builder.enumType('SweepPlacement', {
  description: 'Where the swaps of a sweep edit.',
  values: {
    LAST_TOKEN: { description: 'At the last prompt token, always.' },
    ARMED: {
      description:
        'At every position of prompt and answer where the source is on: its slot above 0.5, or another latent above half its mean activation.',
    },
  },
});

const SweepSettingsTypes = addSettings<SweepSettings>(
  'SwapSweepSettings',
  'What a swap sweep tries, and on which prompts.',
  {
    seed: { type: 'Int', description: 'Seeds the draw of prompts and of random latents.' },
    methods: { type: [SwapMethod], description: 'Methods tried.' },
    alphas: {
      type: ['Float'],
      description: 'Alphas tried with every method, at most 64; large ones are there for the controls.',
    },
    controls: { type: [SweepControl], description: 'Controls measured on the same prompts.' },
    population: { type: SwapPopulation, description: 'The entities that are asked about.' },
    split: { type: SplitRef, description: 'The phrasings that are asked.' },
    withheldOnly: {
      type: 'Boolean',
      description:
        'Whether only swaps are tried that the alignment was never shown: those of `withheldPairShare` and `withheldTargets`. The pairs were withheld of SEEN entities; an UNSEEN one was never shown at all.',
    },
    placement: { type: SweepPlacement, description: 'Where success is measured; isolation is always ARMED.' },
    promptsPerPair: { type: 'Int', description: 'Swaps tried for each pair, as far as there are prompts.' },
    isolationPerPair: {
      type: 'Int',
      description:
        'Prompts about other concepts, and as many texts, on which the armed swap of each pair must change nothing, and as many texts about the source; 0 leaves isolation out.',
    },
  },
  (key) => JSON.stringify(DEFAULTS[key]).replaceAll('"', ''),
);

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
      type: SwapMethod,
      description: 'How the edit is made.',
      resolve: ({ method }) => method as typeof SwapMethod.$inferType,
    }),
    alpha: t.exposeFloat('alpha', {
      description: 'What the target’s latent is set to, or how strongly its direction is added.',
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
    isolation: t.float({
      nullable: true,
      description:
        'Share of prompts about other concepts, and of texts, whose greedy continuation the armed swap leaves as it is, 0–1; null where it was left out. `otherPrompts` and `texts` tell the two apart.',
      resolve: (cell) => rateOf(isolationOf(cell).successes, isolationOf(cell).trials),
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

const SwapSweepResult = builder.objectRef<SweepCell>('SwapSweepResult').implement({
  description: 'What the slots (or MEAN_DIFFERENCE, which uses none) reach with one method at one alpha.',
  interfaces: [SweepCellRef],
});

const SwapSweepControl = builder.objectRef<SweepCell>('SwapSweepControl').implement({
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

interface PairShape {
  runId: string;
  source: number;
  target: number;
  trials: number;
  successes: number;
}

const SwapPair = builder.objectRef<PairShape>('SwapPairResult').implement({
  description: 'An entry of the pair matrix: swaps from one concept to another.',
  fields: (t) => ({
    source: t.field({
      type: ConceptRef,
      description: 'The concept turned off.',
      resolve: async ({ runId, source }, _args, { loaders }) =>
        (await loaders.load(conceptsOfRuns, runId))[source]!,
    }),
    target: t.field({
      type: ConceptRef,
      description: 'The concept turned on.',
      resolve: async ({ runId, target }, _args, { loaders }) =>
        (await loaders.load(conceptsOfRuns, runId))[target]!,
    }),
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
  }),
});

builder.node(SwapSweepRunRef, {
  description:
    'A run that tries concept swaps with every method at every alpha on every pair of concepts, beside the controls on the same prompts. Its results grow while it goes on; `runEvents` tells of each.',
  interfaces: [RunRef],
  id: { resolve: (run) => run.id },
  loadOne: async (id, { loaders }) => {
    const run = await loaders.load(runsByIds, id);
    return run?.kind === 'SWAP_SWEEP' ? run : null;
  },
  fields: (t) => ({
    settings: t.field({
      type: SweepSettingsTypes.output,
      description: 'What it tries.',
      resolve: settingsOf,
    }),
    alignmentRun: t.field({
      type: AlignmentRunRef,
      description: 'The alignment whose slots it swaps.',
      resolve: async (run, _args, { loaders }) => (await loaders.load(runsByIds, run.alignmentRunId!))!,
    }),
    baselineRun: t.field({
      type: BaselineRunRef,
      nullable: true,
      description:
        'The unsupervised SAE that it compares with; null where the sweep trains one by itself, or needs none.',
      resolve: ({ baselineRunId }, _args, { loaders }) => loaders.loadMaybe(runsByIds, baselineRunId),
    }),
    results: t.field({
      type: [SwapSweepResult],
      description:
        'What the slots reach, one entry for each method and alpha measured so far, in order of work.',
      resolve: async (run, _args, { loaders }) => {
        const withMean = settingsOf(run).methods.includes('MEAN_DIFFERENCE');
        return (await loaders.load(cellsOfRuns, run.id)).filter(
          ({ edited }) => edited === 'CONCEPT' || (withMean && edited === 'MEAN_DIFFERENCE'),
        );
      },
    }),
    controls: t.field({
      type: [SwapSweepControl],
      description: 'What the controls reach on the same prompts, measured so far.',
      args: { kind: t.arg({ type: SweepControl, required: false, description: 'Only this control.' }) },
      resolve: async (run, { kind }, { loaders }) => {
        const asked = kind ? [kind] : settingsOf(run).controls;
        const cells = await loaders.load(cellsOfRuns, run.id);
        return cells.filter(({ edited }) => edited !== 'CONCEPT' && asked.includes(edited));
      },
    }),
    pairs: t.field({
      type: [SwapPair],
      description:
        'The pair matrix of a method at an alpha: success from each concept to each other; empty where it was not measured (yet).',
      args: {
        method: t.arg({ type: SwapMethod, required: true, description: 'The method.' }),
        alpha: t.arg.float({ required: true, description: 'The alpha, one of `settings.alphas`.' }),
        control: t.arg({
          type: SweepControl,
          required: false,
          description: 'The matrix of this control; of the slots when left out.',
        }),
      },
      resolve: async (run, { method, alpha, control }, { loaders }) => {
        const edited = control ?? (method === 'MEAN_DIFFERENCE' ? 'MEAN_DIFFERENCE' : 'CONCEPT');
        const cell = (await loaders.load(cellsOfRuns, run.id)).find(
          (one) => one.edited === edited && one.method === method && one.alpha === alpha,
        );
        return cell?.pairs.map((pair) => ({ ...pair, runId: run.alignmentRunId! })) ?? [];
      },
    }),
    editsPerSecond: t.float({
      nullable: true,
      description:
        'Swaps and isolation checks run through the model a second, in the last attempt; null before the end.',
      resolve: ({ result }) => {
        const { edits, seconds } = (result as { edits: number; seconds: number } | null) ?? {};
        return edits && seconds ? edits / seconds : null;
      },
    }),
  }),
});

const ConceptPairInput = builder.inputType('ConceptPairInput', {
  description: 'Two concepts of the run’s ontology.',
  fields: (t) => ({
    source: t.string({ required: true, description: 'The concept to turn off: its key or its id.' }),
    target: t.string({ required: true, description: 'The concept to turn on: its key or its id.' }),
  }),
});

addMutation('startSwapSweep', {
  description:
    'Queues a sweep of concept swaps over methods, alphas and pairs, with their controls, and returns its run at once.',
  scope: 'run',
  input: builder.inputType('StartSwapSweepInput', {
    description: 'Whose slots to swap, and what to try.',
    fields: (t) => ({
      runId: t.id({ required: true, description: 'Id of an alignment run that has succeeded.' }),
      baselineRunId: t.id({
        required: false,
        description:
          'Id of the baseline run to compare with. Default: the newest of the same model, dataset and layer; where there is none the sweep trains one by itself.',
      }),
      pairs: t.field({
        type: [ConceptPairInput],
        required: false,
        description: 'Which concepts to swap for which. Default: every concept for every other.',
      }),
      settings: t.field({
        type: SweepSettingsTypes.input,
        required: false,
        description: 'What to try, and on which prompts.',
      }),
    }),
  }),
  success: StartRunSuccess,
  errors: ['INVALID_INPUT', 'NOT_FOUND'],
  resolve: async ({ runId, baselineRunId, pairs, settings }, { db }) => ({
    run: await startSwapSweep(db, {
      runId: idOf(runId, ['AlignmentRun'], ['runId']),
      baselineRunId:
        baselineRunId == null ? undefined : idOf(baselineRunId, ['BaselineRun'], ['baselineRunId']),
      pairs: pairs?.map(({ source, target }) => ({
        source: conceptKeyOrId(source),
        target: conceptKeyOrId(target),
      })),
      settings: withoutNulls(settings ?? {}),
    }),
  }),
});

function settingsOf({ settings }: Pick<Run, 'settings'>): StoredSweepSettings {
  return settings as unknown as StoredSweepSettings;
}
