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

export interface Alignment {
  id: string;
  chosenAlpha: number;
  binding: { examples: number; accuracy: number; diagonalAccuracy: number; diagonalStrength: number };
  reconstruction: { fvu: number; l0: number; deadLatents: number };
  swaps: { control: string; population: string; split: string; trials: number; successes: number }[];
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

export interface Layers {
  bindingByLayer: { layer: number; seed: number | null; rate: Rate }[];
  swapSuccessByLayer: {
    layer: number;
    seed: number | null;
    alpha: number;
    rate: Rate;
    random: Rate | null;
  }[];
}

/** All presets, side by side. */
export const PRESETS = ['PAPER', 'COUNTERFACTUAL', 'AUTHORS'] as const;
export type Preset = (typeof PRESETS)[number];

/** All that is measured with one seed of data, model and SAEs. */
export interface SeedStudy {
  seed: number;
  model: Model;
  alignments: Record<Preset, Alignment>;
  baseline: Baseline;
  sweeps: Record<Preset, Sweep>;
  /** Swaps that training's counterfactuals were never shown: single pairs, and one concept as a whole. */
  withheld: { pairs: Cell; target: { key: string; cell: Cell } };
}

const CONTROLS = [
  ...['UNSUPERVISED_LATENT', 'UNSUPERVISED_LATENTS', 'RANDOM_LATENT', 'MEAN_DIFFERENCE', 'LINEAR_PROBE'],
  ...['DAS', 'SUM', 'TRUE_ACTIVATION', 'PROMPT'],
];

const KEYS = ['birth_date', 'birth_city', 'university', 'major', 'employer', 'work_city'];
/** Concepts withheld as whole targets: each seed withholds one. */
const WITHHELD_TARGETS = ['birth_city', 'major', 'employer', 'university', 'work_city'];

export async function studySeed(api: ApiClient, seed: number): Promise<SeedStudy> {
  heading(`Seed ${seed}`);
  const model = await trainModel(api, seed);
  const align = (settings: object) => alignModel(api, model.id, { seed, ...settings });
  const alignments = {
    PAPER: await align({ preset: 'PAPER' }),
    COUNTERFACTUAL: await align({ preset: 'COUNTERFACTUAL' }),
    AUTHORS: await align({ preset: 'AUTHORS' }),
  };
  const baseline = await result<Baseline>(
    api,
    operations.BASELINE,
    'unsupervised',
    operations.START_BASELINE_RUN,
    {
      ...{ modelId: model.id, settings: { seed } },
    },
  );
  const sweepOf = (preset: Preset) => {
    const isMain = preset === 'COUNTERFACTUAL';
    const some = seed === 0 && isMain ? { isolationPerPair: 5 } : { methods: ['LATENT_DECODE'] };
    // Controls do not depend on the preset.
    const settings = { seed, ...some, controls: isMain ? CONTROLS : ['RANDOM_LATENT'] };
    return sweep(api, { runId: alignments[preset].id, baselineRunId: baseline.id, settings });
  };
  const sweeps = {
    PAPER: await sweepOf('PAPER'),
    COUNTERFACTUAL: await sweepOf('COUNTERFACTUAL'),
    AUTHORS: await sweepOf('AUTHORS'),
  };
  return { seed, model, alignments, baseline, sweeps, withheld: await studyWithheld(api, align, seed) };
}

async function trainModel(api: ApiClient, seed: number): Promise<Model> {
  const reply = await api.request<{
    generateDataset: { __typename: 'GenerateDatasetSuccess'; dataset: { id: string } };
  }>(GENERATE_DATASET, { input: { people: 100, seed } });
  const datasetId = success(reply.generateDataset).dataset.id;
  const id = await runAndWatch(api, 'GPT-2', START_MODEL_RUN, { datasetId, settings: { seed } });
  return (await read<{ model: Model }>(api, operations.MODEL, id)).model;
}

function alignModel(api: ApiClient, modelId: string, settings: object): Promise<Alignment> {
  return result<Alignment>(api, operations.ALIGNMENT, 'AlignSAE', START_ALIGNMENT_RUN, { modelId, settings });
}

function sweep(api: ApiClient, input: object): Promise<Sweep> {
  return result<Sweep>(api, operations.SWEEP, 'swaps', operations.START_SWAP_SWEEP, input);
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

/** Every layer of a model, from before the first block. */
export function studyLayers(api: ApiClient, modelId: string): Promise<Layers> {
  heading('Layers');
  const input = { modelId, settings: { preset: 'COUNTERFACTUAL' } };
  return result<Layers>(api, operations.LAYERS, 'layers', operations.START_ALIGNMENT_SWEEP, input);
}
