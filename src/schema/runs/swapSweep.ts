/** Runs that sweep concept swaps over methods, alphas and pairs. */

import { cellsOfRuns, startSwapSweep } from '../../runs/swapSweep.ts';
import { resultOf, runsByIds, settingsOf } from '../../services/run.ts';
import { usedSaeOfRuns } from '../../services/sae.ts';
import { builder } from '../builder.ts';
import { conceptKeyOrId, idOf } from '../ids.ts';
import { CellMethod } from '../intervention.ts';
import { namedInput } from '../labels.ts';
import { AlignmentRunRef, BaselineRunRef, SaeRef } from '../refs.ts';
import { SweepControl, SweepSettingsTypes } from '../swapSweepSettings.ts';
import { DasSearch, LinearProbe } from '../sweepBaselines.ts';
import { SwapPair, SwapSweepControl, SwapSweepResult } from '../sweepCell.ts';
import { addRunNode, addStart, priorityInput } from './node.ts';

export const swapSweepRun = addRunNode('SWAP_SWEEP', {
  does: 'Tries concept swaps over methods, alphas and pairs beside their controls; a `SwapSweepRun`.',
  description:
    'A run that tries concept swaps with every method at every alpha on every pair of concepts, beside the controls on the same prompts. Its results grow while it goes on; `runEvents` tells of each.',
  fields: (t) => ({
    settings: t.field({
      type: SweepSettingsTypes.output,
      description: 'What it tries.',
      resolve: (run) => settingsOf(run, 'SWAP_SWEEP'),
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
    baselineSae: t.field({
      type: SaeRef,
      nullable: true,
      description: 'The SAE that it was told to compare with; null where none was named.',
      resolve: (run, _args, { loaders }) => loaders.load(usedSaeOfRuns, run.id),
    }),
    results: t.field({
      type: [SwapSweepResult],
      description:
        'What the slots reach, one entry for each method and alpha measured so far, in order of work.',
      resolve: async (run, _args, { loaders }) => {
        const withMean = settingsOf(run, 'SWAP_SWEEP').methods.includes('MEAN_DIFFERENCE');
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
        const asked = kind ? [kind] : settingsOf(run, 'SWAP_SWEEP').controls;
        const cells = await loaders.load(cellsOfRuns, run.id);
        return cells.filter(({ edited }) => edited !== 'CONCEPT' && asked.includes(edited));
      },
    }),
    pairs: t.field({
      type: [SwapPair],
      description:
        'The pair matrix of a method at an alpha: success from each concept to each other; empty where it was not measured (yet).',
      args: {
        method: t.arg({ type: CellMethod, required: true, description: 'The method.' }),
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
    linearProbe: t.field({
      type: LinearProbe,
      nullable: true,
      description:
        'How the probe of the control LINEAR_PROBE reads, beside the slots; null without it, and before the end.',
      resolve: (run) => resultOf(run, 'SWAP_SWEEP')?.probe ?? null,
    }),
    das: t.field({
      type: DasSearch,
      nullable: true,
      description:
        'What the subspace of the control DAS was trained to; null without it, and before the end.',
      resolve: (run) => resultOf(run, 'SWAP_SWEEP')?.das ?? null,
    }),
    editsPerSecond: t.float({
      nullable: true,
      description:
        'Swaps and isolation checks run through the model a second, in the last attempt; null before the end.',
      resolve: (run) => {
        const { edits, seconds } = resultOf(run, 'SWAP_SWEEP') ?? {};
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

addStart('startSwapSweep', {
  description:
    'Queues a sweep of concept swaps over methods, alphas and pairs, with their controls, and returns its run at once.',
  input: builder.inputType('StartSwapSweepInput', {
    description: 'Whose slots to swap, and what to try.',
    fields: (t) => ({
      ...namedInput(t),
      ...priorityInput(t),
      runId: t.id({ required: true, description: 'Id of an alignment run that has succeeded.' }),
      baselineRunId: t.id({
        required: false,
        description:
          'Id of the baseline run to compare with. Default: the newest of the same model, dataset and layer; where there is none the sweep trains one by itself.',
      }),
      baselineSaeId: t.id({
        required: false,
        description:
          'In the place of a baseline run: an SAE without slots of the same model and layer to compare with, imported or trained here. The latents that tell concepts best in it are found first.',
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
  start: (db, { runId, baselineRunId, baselineSaeId, pairs, settings }) =>
    startSwapSweep(db, {
      runId: idOf(runId, ['AlignmentRun'], ['runId']),
      baselineRunId: baselineRunId && idOf(baselineRunId, ['BaselineRun'], ['baselineRunId']),
      ...(baselineSaeId !== undefined && { baselineSaeId: idOf(baselineSaeId, ['Sae'], ['baselineSaeId']) }),
      pairs: pairs?.map(({ source, target }) => ({
        source: conceptKeyOrId(source),
        target: conceptKeyOrId(target),
      })),
      settings,
    }),
});
