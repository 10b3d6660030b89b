/** Runs that repeat an alignment over layers and seeds. */
import {
  countPartsOfRuns,
  MAX_PARTS,
  pagePartsOfRuns,
  startAlignmentSweep,
} from '../../runs/alignmentSweep.ts';
import {
  bindingByLayer,
  type LayerAlpha,
  type LayerBinding,
  type LayerSwaps,
  swapsByAlpha,
  swapsByLayer,
} from '../../runs/layerTable.ts';
import type { COMBINATIONS } from '../../runs/sweepAxes.ts';
import { type Run, settingsOf } from '../../services/run.ts';
import { AlignmentSettingsTypes } from '../alignmentSettings.ts';
import { builder } from '../builder.ts';
import { namedInput } from '../labels.ts';
import { SwapPopulation } from '../measures.ts';
import { RateRef } from '../rate.ts';
import { AlignmentRunConnection, AlignmentRunRef } from '../refs.ts';
import { SplitRef } from '../split.ts';
import {
  addRunNode,
  addStart,
  corpusInput,
  corpusOf,
  pretrainedInput,
  pretrainedOf,
  priorityInput,
  studiedInput,
  studiedOf,
} from './node.ts';

/** Rows that a table may have, in the terms of the complexity rule. */
const TABLE_COMPLEXITY = { field: 10, multiplier: 10 };
const DEFAULT_SPLIT = 'TEST_OOD';
const DEFAULT_POPULATION = 'UNSEEN';

const VariedSetting = builder.objectRef<LayerBinding['settings'][number]>('VariedSetting').implement({
  description: 'A setting that a sweep varies, as one of its parts has it.',
  fields: (t) => ({
    key: t.exposeString('key', { description: 'Which setting; dotted, such as `weights.ortho`.' }),
    value: t.exposeString('value', { description: 'Its value, as JSON.' }),
  }),
});

const LayerRow = builder.interfaceRef<LayerBinding>('LayerRow').implement({
  description:
    'A row of a table by layer: of one part of a sweep, or, behind them, of all seeds of a layer together.',
  fields: (t) => ({
    layer: t.exposeInt('layer', {
      description: 'Layer of the part; -1 is the stream before the first block.',
    }),
    settings: t.field({
      type: [VariedSetting],
      description:
        'What else the sweep varies, in the order of its axes; empty without axes. Rows of one layer with other settings are rows apart.',
      resolve: ({ settings }) => settings,
    }),
    seed: t.int({
      nullable: true,
      description: 'Seed of the part; null in the row over all seeds of the layer.',
      resolve: ({ part }) => part?.seed,
    }),
    run: t.field({
      type: AlignmentRunRef,
      nullable: true,
      description: 'The part; null in the row over all seeds of the layer.',
      resolve: ({ part }) => part,
    }),
    parts: t.exposeInt('parts', { description: 'Number of parts behind this row: 1, or the seeds so far.' }),
    rate: t.field({
      type: RateRef,
      description:
        'The figure itself. Over seeds: trials and successes of all parts; its interval is about the prompts, `deviation` about the seeds.',
      resolve: ({ rate }) => rate,
    }),
    deviation: t.exposeFloat('deviation', {
      nullable: true,
      description: 'Sample standard deviation of `rate` over the seeds; null with fewer than two.',
    }),
  }),
});

const LayerBindingRef = builder.objectRef<LayerBinding>('LayerBinding').implement({
  description: "How well slots bind at a layer: share of prompts whose strongest slot is their concept's.",
  interfaces: [LayerRow],
});

const LayerSwapsRef = builder.objectRef<LayerSwaps>('LayerSwaps').implement({
  description: 'How often concept swaps at a layer succeed.',
  interfaces: [LayerRow],
  fields: (t) => ({
    alpha: t.exposeFloat('alpha', {
      nullable: true,
      description: 'Alpha that the part chose on validation; null over seeds that chose different ones.',
    }),
    random: t.field({
      type: RateRef,
      nullable: true,
      description:
        'Control: the same swaps with random latents; null where they were not measured (they are on UNSEEN).',
      resolve: ({ random }) => random,
    }),
  }),
});

const LayerAlphaRef = builder.objectRef<LayerAlpha>('LayerAlphaSwaps').implement({
  description: 'How often concept swaps at a layer succeed at an alpha.',
  interfaces: [LayerRow],
  fields: (t) => ({
    alpha: t.exposeFloat('alpha', {
      nullable: true,
      description: 'The alpha; nullable as that of LayerSwaps, beside which it may be selected.',
    }),
  }),
});

const SweepCombination = builder.enumType('SweepCombination', {
  description: 'How the axes of a sweep go together.',
  values: {
    GRID: { description: 'Each value of an axis with each value of every other.' },
    PAIRED: {
      description: 'The first values of all axes together, then the second ones; all are equally long.',
    },
  } satisfies Record<(typeof COMBINATIONS)[number], object>,
});

const SweepAxisInput = builder.inputType('SweepAxisInput', {
  description: 'A list that a sweep varies.',
  fields: (t) => ({
    values: t.field({
      type: [AlignmentSettingsTypes.input],
      required: true,
      description:
        'Each value is one or more settings, such as `{ nFree: 64 }` or `{ weights: { ortho: 0, indep: 0 } }`, in which its parts differ from `settings`; also a `preset`, a `layer` or a `seed`. No two axes may set the same.',
    }),
  }),
});

const PartCounts = builder.objectRef<Record<Run['status'], number>>('PartCounts').implement({
  description: 'How many parts of a sweep are in each state.',
  fields: (t) => ({
    queued: t.int({ description: 'Wait for a worker.', resolve: (n) => n.QUEUED }),
    running: t.int({ description: 'Are being worked on.', resolve: (n) => n.RUNNING }),
    succeeded: t.int({ description: 'Ended well.', resolve: (n) => n.SUCCEEDED }),
    failed: t.int({
      description: 'Ended with an error, which their `error` shows.',
      resolve: (n) => n.FAILED,
    }),
    cancelled: t.int({
      description: 'Were cancelled, by themselves or with the sweep.',
      resolve: (n) => n.CANCELLED,
    }),
  }),
});

export const alignmentSweepRun = addRunNode('ALIGNMENT_SWEEP', {
  does: 'Repeats an alignment over layers, seeds and any lists of settings, each a run of its own; an `AlignmentSweepRun`.',
  description:
    'Repeats one alignment over layers, seeds and any lists of settings. Each part is an `AlignmentRun` of its own, which any worker may take; this run follows them: RUNNING from the first part’s start, its progress is their mean, and it has SUCCEEDED when all have ended and one or more succeeded, FAILED when none did. A part that is cancelled alone does not end the others; cancelling this run cancels all. `runEvents` tells of each part that ends.',
  fields: (t) => ({
    layers: t.intList({
      description: 'Its layers, in the order of work.',
      resolve: (run) => settingsOf(run, 'ALIGNMENT_SWEEP').layers,
    }),
    seeds: t.intList({
      description: 'Its seeds, in the order of work: all layers of the first one come first.',
      resolve: (run) => settingsOf(run, 'ALIGNMENT_SWEEP').seeds,
    }),
    settings: t.field({
      type: AlignmentSettingsTypes.output,
      description: 'Settings of every part; `layer`, `seed` and `varied` are those of the first.',
      resolve: (run) => settingsOf(run, 'ALIGNMENT_SWEEP').alignment,
    }),
    varied: t.stringList({
      description: 'Which settings its axes vary besides `layer` and `seed`, dotted; empty without axes.',
      resolve: (run) => settingsOf(run, 'ALIGNMENT_SWEEP').axes?.paths ?? [],
    }),
    partCounts: t.field({
      type: PartCounts,
      description: 'How many parts are in each state.',
      resolve: (run, _args, { loaders }) => loaders.load(countPartsOfRuns, run.id),
    }),
    parts: t.connection(
      {
        type: AlignmentRunRef,
        description:
          'Its parts, seed by seed, within a seed in the order of the axes, the first changing slowest, and then of `layers`.',
        resolve: (run, args, { loaders }) => loaders.loadPage(pagePartsOfRuns, run.id, args),
      },
      AlignmentRunConnection,
    ),
    bindingByLayer: t.field({
      type: [LayerBindingRef],
      description:
        'Binding accuracy of the parts that have succeeded so far: by settings, layer and seed, each layer followed by a row over its seeds.',
      complexity: TABLE_COMPLEXITY,
      args: {
        split: t.arg({ type: SplitRef, defaultValue: DEFAULT_SPLIT, description: 'On which prompts.' }),
      },
      resolve: (run, { split }, { db }) => bindingByLayer(db, run, split ?? DEFAULT_SPLIT),
    }),
    swapSuccessByLayer: t.field({
      type: [LayerSwapsRef],
      description:
        'Success of concept swaps at the alpha that each part chose on validation, in the order of `bindingByLayer`; parts whose dataset allows no swap are left out.',
      complexity: TABLE_COMPLEXITY,
      args: {
        population: t.arg({
          type: SwapPopulation,
          defaultValue: DEFAULT_POPULATION,
          description: 'On which entities.',
        }),
        split: t.arg({ type: SplitRef, defaultValue: DEFAULT_SPLIT, description: 'On which phrasings.' }),
      },
      resolve: (run, { population, split }, { db }) =>
        swapsByLayer(db, run, {
          population: population ?? DEFAULT_POPULATION,
          split: split ?? DEFAULT_SPLIT,
        }),
    }),
    swapSuccessByAlpha: t.field({
      type: [LayerAlphaRef],
      description:
        'Success of concept swaps at every alpha that the parts measured there, alpha × layer, in the order of `bindingByLayer`: on UNSEEN all alphas where `settings.everyAlpha` is set, and the chosen one otherwise; on VALIDATION always all, in the VALIDATION split, or TRAIN where that is empty.',
      complexity: { field: 10, multiplier: 64 },
      args: {
        population: t.arg({
          type: SwapPopulation,
          defaultValue: DEFAULT_POPULATION,
          description: 'On which entities.',
        }),
        split: t.arg({ type: SplitRef, defaultValue: DEFAULT_SPLIT, description: 'On which phrasings.' }),
      },
      resolve: (run, { population, split }, { db }) =>
        swapsByAlpha(db, run, {
          population: population ?? DEFAULT_POPULATION,
          split: split ?? DEFAULT_SPLIT,
        }),
    }),
  }),
});

addStart('startAlignmentSweep', {
  description:
    'Queues one alignment for each layer, seed and point of the axes, and returns the run that follows them all at once.',
  input: builder.inputType('StartAlignmentSweepInput', {
    description: `Which model to study at which layers, with which seeds and settings; at most ${MAX_PARTS} parts.`,
    fields: (t) => ({
      ...namedInput(t),
      ...priorityInput(t),
      ...studiedInput(
        t,
        'The dataset whose prompts are asked and whose concepts get slots. Default: the one that the model was trained on.',
      ),
      ...corpusInput(t, '`pretrainOn` or `silenceOn`'),
      ...pretrainedInput(t),
      axes: t.field({
        type: [SweepAxisInput],
        required: false,
        description: 'Lists of settings to vary besides layers and seeds. Default: none.',
      }),
      combination: t.field({
        type: SweepCombination,
        required: false,
        description: 'How the axes go together; layers and seeds go with every point of them. Default: GRID.',
      }),
      layers: t.intList({
        required: false,
        description:
          'Layers, each once. Default: all, from -1 (before the first block) to the last block; with axes, where an axis or `settings` says the layer, that; with `pretrainedSaeId` the one that the SAE reads, which is then the only one accepted.',
      }),
      seeds: t.intList({
        required: false,
        description: 'Seeds, each once. Default: that of `settings` alone.',
      }),
      settings: t.field({
        type: AlignmentSettingsTypes.input,
        required: false,
        description:
          'Settings of every part, as in `startAlignmentRun`, over which those of an axis go; leave `layer` out without axes and where `layers` are given, and `seed` where `seeds` are given.',
      }),
    }),
  }),
  start: (db, input) =>
    startAlignmentSweep(db, {
      ...input,
      ...studiedOf(input),
      ...corpusOf(input),
      ...pretrainedOf(input),
    }),
});
