/** The runs behind the report, done as any client of the API would do them. */
import { type ApiClient, success } from '../../src/demo/client.ts';
import { GENERATE_DATASET, START_ALIGNMENT_RUN, START_MODEL_RUN } from '../../src/demo/operations.ts';
import { heading } from '../../src/demo/terminal.ts';
import { runAndWatch } from '../../src/demo/watch.ts';
import { read, result } from './ask.ts';
import type { Rate } from './markdown.ts';
import * as operations from './operations.ts';

export interface Cell {
  kind?: string;
  method: string;
  alpha: number;
  success: Rate;
  otherPrompts: Rate;
  texts: Rate;
  statements: Rate;
}

export interface Model {
  id: string;
  train: number;
  testOod: number;
}

export interface ConceptLatent {
  concept: { key: string };
  fragmentation: number;
  heldOutSeparability: number;
}

export interface AlignmentSwaps {
  control: string;
  population: string;
  split: string;
  trials: number;
  successes: number;
  loose: Rate | null;
  categoryKept: Rate | null;
}

/** What one slot by itself does to answers, in nats of their log-odds. */
export interface Knock {
  edit: 'KNOCK_IN' | 'KNOCK_OUT';
  concept: { key: string };
  asked: { change: number | null };
  others: { concept: { key: string }; change: number | null }[];
}

export interface Alignment {
  id: string;
  chosenAlpha: number;
  binding: {
    examples: number;
    accuracy: number;
    diagonalAccuracy: number;
    diagonalStrength: number;
    slotMargin: number | null;
    effFeat: number | null;
    slotEffFeat: number | null;
    top1Conc: number | null;
    slotTop1Conc: number | null;
  };
  reconstruction: { fvu: number; l0: number; deadLatents: number };
  swaps: AlignmentSwaps[];
  knocks: Knock[];
  conceptLatents: ConceptLatent[];
  faithfulness: { replacement: string; accuracy: Rate; crossEntropy: number }[];
}

export interface Baseline {
  id: string;
  binding: { accuracy: number };
  reconstruction: Alignment['reconstruction'];
  conceptLatents: ConceptLatent[];
}

export interface Sweep {
  editsPerSecond: number;
  linearProbe: { accuracy: Rate; binding: Rate } | null;
  das: { dimensions: number } | null;
  results: Cell[];
  controls: Cell[];
}

/** All presets, side by side. */
export const PRESETS = ['PAPER', 'COUNTERFACTUAL', 'AUTHORS'] as const;
export type Preset = (typeof PRESETS)[number];

/** AUTHORS with the first seed alone: its 28,200 steps of 10,000 latents take as long as all else together. */
type ByPreset<T> = Record<PlainPreset, T> & { AUTHORS?: T };

/** All that is measured with one seed of data, model and SAEs. */
export interface SeedStudy {
  seed: number;
  model: Model;
  alignments: ByPreset<Alignment>;
  baseline: Baseline;
  sweeps: ByPreset<Sweep>;
  /** Swaps that training's counterfactuals were never shown: single pairs, and one concept as a whole. */
  withheld: { pairs: Cell; target: { key: string; cell: Cell } };
  /** COUNTERFACTUAL with more of the silence term. */
  quiet: { alignment: Alignment; cell: Cell };
  /** The same on a model whose first block has an MLP too. */
  plain: { model: Model; alignments: Record<PlainPreset, Alignment> };
}

/** Recipes were chosen on others. */
export const SEEDS = [30, 31, 32, 33, 34];

/**
 * A first block that gathers what is asked and looks nothing up: behind it the question and the person stand in an
 * activation as a sum, in which one direction a concept can be exchanged.
 */
export const GATHERING = { attentionOnlyBlocks: 1 } as const;

/** One hop: seeds that nothing was chosen on, nor looked at before. */
export const ONE_HOP_SEEDS = [45, 46, 47, 48, 49];

/**
 * The model of one hop. With the API's initial weights, learning rate and four blocks a third of such models read the
 * question again in later blocks, past an edit; with these none did of the 27 seeds on which they were chosen
 * (docs/experiments.md).
 */
export const ONE_HOP_MODEL = { ...GATHERING, nLayers: 2, initStd: 0.04, learningRate: 8e-3 } as const;

/** What the recipe for a real model has: isolation on texts is the figure that it must move. */
export const QUIET = { weights: { silence: 40 }, silentRows: 256 } as const;

export const PLAIN_PRESETS = ['PAPER', 'COUNTERFACTUAL'] as const;
export type PlainPreset = (typeof PLAIN_PRESETS)[number];

const CONTROLS = [
  ...['UNSUPERVISED_LATENT', 'UNSUPERVISED_LATENTS', 'RANDOM_LATENT', 'MEAN_DIFFERENCE', 'LINEAR_PROBE'],
  ...['DAS', 'SUM', 'TRUE_ACTIVATION', 'PROMPT'],
];

const KEYS = ['birth_date', 'birth_city', 'university', 'major', 'employer', 'work_city'];
/** Concepts withheld as whole targets: each seed withholds one. */
const WITHHELD_TARGETS = ['birth_city', 'major', 'employer', 'university', 'work_city'];

/** So small that the part can be tried. */
export const TRIAL = {
  model: { dModel: 32, nLayers: 2, nHeads: 2, steps: 20 },
  alignment: { nFree: 32, pretrain: { steps: 10 }, posttrain: { steps: 20 }, swapTrials: 20 },
  baseline: { nFree: 32, steps: 20 },
  sweep: { promptsPerPair: 2, alphas: [1, 2], isolationPerPair: 2, dasSteps: 5, dasDimensions: [4] },
};

export async function studySeed(api: ApiClient, seed: number, trial: boolean): Promise<SeedStudy> {
  heading(`Seed ${seed}`);
  const model = await trainModel(api, seed, { ...ONE_HOP_MODEL, ...(trial && TRIAL.model) });
  const align = (settings: object) =>
    alignModel(api, model.id, { seed, ...settings, ...(trial && TRIAL.alignment) });
  const alignments = {
    PAPER: await align({ preset: 'PAPER' }),
    COUNTERFACTUAL: await align({ preset: 'COUNTERFACTUAL' }),
    ...(seed === ONE_HOP_SEEDS[0] && { AUTHORS: await align({ preset: 'AUTHORS' }) }),
  };
  const baseline = await result<Baseline>(
    api,
    operations.BASELINE,
    'unsupervised',
    operations.START_BASELINE_RUN,
    {
      ...{ modelId: model.id, settings: { seed, ...(trial && TRIAL.baseline) } },
    },
  );
  const sweepOf = (preset: Preset) => {
    const isMain = preset === 'COUNTERFACTUAL';
    const some =
      seed === ONE_HOP_SEEDS[0] && isMain ? { isolationPerPair: 5 } : { methods: ['LATENT_DECODE'] };
    // Controls do not depend on the preset.
    const controls = isMain ? CONTROLS : ['RANDOM_LATENT'];
    const settings = { seed, ...some, controls, ...(trial && TRIAL.sweep) };
    return sweep(api, { runId: alignments[preset]!.id, baselineRunId: baseline.id, settings });
  };
  const sweeps = {
    PAPER: await sweepOf('PAPER'),
    COUNTERFACTUAL: await sweepOf('COUNTERFACTUAL'),
    ...(alignments.AUTHORS && { AUTHORS: await sweepOf('AUTHORS') }),
  };
  const withheld = await studyWithheld(api, align, seed);
  const quiet = await studyQuiet(api, align, seed);
  return {
    seed,
    model,
    alignments,
    baseline,
    sweeps,
    withheld,
    quiet,
    plain: await studyPlain(api, seed, trial),
  };
}

/** Blocks as GPT-2 has them, from the first. */
async function studyPlain(api: ApiClient, seed: number, trial: boolean): Promise<SeedStudy['plain']> {
  const model = await trainModel(api, seed, trial ? TRIAL.model : {});
  const align = (preset: PlainPreset) =>
    alignModel(api, model.id, { seed, preset, ...(trial && TRIAL.alignment) });
  const alignments = { PAPER: await align('PAPER'), COUNTERFACTUAL: await align('COUNTERFACTUAL') };
  return { model, alignments };
}

export async function trainModel(api: ApiClient, seed: number, more: object = {}): Promise<Model> {
  const reply = await api.request<{
    generateDataset: { __typename: 'GenerateDatasetSuccess'; dataset: { id: string } };
  }>(GENERATE_DATASET, { input: { people: 100, seed } });
  const datasetId = success(reply.generateDataset).dataset.id;
  const id = await runAndWatch(api, 'GPT-2', START_MODEL_RUN, { datasetId, settings: { seed, ...more } });
  return (await read<{ model: Model }>(api, operations.MODEL, id)).model;
}

function alignModel(api: ApiClient, modelId: string, settings: object): Promise<Alignment> {
  return result<Alignment>(api, operations.ALIGNMENT, 'AlignSAE', START_ALIGNMENT_RUN, { modelId, settings });
}

function sweep(api: ApiClient, input: object): Promise<Sweep> {
  return result<Sweep>(api, operations.SWEEP, 'swaps', operations.START_SWAP_SWEEP, input);
}

async function studyQuiet(
  api: ApiClient,
  align: (settings: object) => Promise<Alignment>,
  seed: number,
): Promise<SeedStudy['quiet']> {
  const alignment = await align({ preset: 'COUNTERFACTUAL', ...QUIET });
  const only = { seed, methods: ['LATENT_DECODE'], alphas: [alignment.chosenAlpha], controls: [] };
  const { results } = await sweep(api, { runId: alignment.id, settings: only });
  return { alignment, cell: results[0]! };
}

/** Swaps at the alpha that each alignment chose on validation, where it was never shown how. */
async function studyWithheld(
  api: ApiClient,
  align: (settings: object) => Promise<Alignment>,
  seed: number,
): Promise<SeedStudy['withheld']> {
  const measure = async (alignment: Alignment, input: object, settings: object): Promise<Cell> => {
    const only = {
      methods: ['LATENT_DECODE'],
      alphas: [alignment.chosenAlpha],
      controls: [],
      isolationPerPair: 0,
    };
    const more = { promptsPerPair: 40, split: 'TRAIN', seed };
    const { results } = await sweep(api, {
      ...{ runId: alignment.id, ...input },
      settings: { ...only, ...more, ...settings },
    });
    return results[0]!;
  };
  const preset = 'COUNTERFACTUAL';
  const pairs = await align({ preset, withheldPairShare: 0.2 });
  const key = WITHHELD_TARGETS[seed % WITHHELD_TARGETS.length]!;
  const target = await align({ preset, withheldTargets: [key] });
  const towards = KEYS.filter((source) => source !== key).map((source) => ({ source, target: key }));
  return {
    pairs: await measure(pairs, {}, { population: 'SEEN', withheldOnly: true }),
    target: { key, cell: await measure(target, { pairs: towards }, { population: 'UNSEEN' }) },
  };
}
