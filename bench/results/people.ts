/** The authors' own people: one model, every preset, every control, whole answers and edits at every token of them. */
import { readFile } from 'node:fs/promises';
import { type ApiClient, success } from '../../src/demo/client.ts';
import { START_ALIGNMENT_RUN, START_MODEL_RUN } from '../../src/demo/operations.ts';
import { heading } from '../../src/demo/terminal.ts';
import { runAndWatch } from '../../src/demo/watch.ts';
import { read, result } from './ask.ts';
import type { Rate } from './markdown.ts';
import * as operations from './operations.ts';
import { GATHERING, type Model } from './study.ts';

export const PEOPLE_PRESETS = ['PAPER', 'COUNTERFACTUAL', 'AUTHORS'] as const;
export type PeoplePreset = (typeof PEOPLE_PRESETS)[number];

/** The largest that trains here in an hour; what its first block writes is read, which gathers and looks nothing up. */
export const MODEL = {
  ...GATHERING,
  dModel: 256,
  nLayers: 6,
  nHeads: 4,
  nCtx: 48,
  steps: 2500,
  initStd: 0.04,
  learningRate: 1e-3,
};
export const N_FREE = 10_000;
const TRIAL = {
  model: { dModel: 32, nLayers: 2, nHeads: 2, steps: 20 },
  alignment: { nFree: 64, pretrain: { steps: 10 }, posttrain: { steps: 20 } },
  sweep: { promptsPerPair: 2, dasSteps: 5, dasDimensions: [4], alphas: [1, 2] },
};

/** How the slots of a model are measured. */
export interface Subject {
  layer: number;
  alignment: object;
  sweep: object;
  /** Measured beside COUNTERFACTUAL, for they do not depend on the preset. */
  controls: readonly string[];
}

/** The model that was trained here. */
export const TRAINED: Subject = {
  layer: 0,
  alignment: {},
  sweep: {
    methods: ['LATENT_DECODE', 'LATENT_DELTA'],
    ...{ alphas: [0.5, 1, 1.5, 2, 2.5, 5, 10], isolationPerPair: 5 },
  },
  controls: [
    ...['PROMPT', 'TRUE_ACTIVATION', 'SUM', 'DAS', 'MEAN_DIFFERENCE', 'LINEAR_PROBE'],
    ...['UNSUPERVISED_LATENT', 'UNSUPERVISED_LATENTS', 'RANDOM_LATENT'],
  ],
};

export interface PeopleCell {
  kind?: string;
  method: string;
  alpha: number;
  success: Rate;
  loose: Rate;
  otherPrompts: Rate;
  texts: Rate;
}

export interface PeopleAlignment {
  chosenAlpha: number | null;
  known: PeopleBinding;
  heldOut: PeopleBinding;
  swaps: { control: string; population: string; split: string; trials: number; successes: number }[];
}

interface PeopleBinding {
  accuracy: number;
  effFeat: number | null;
  slotEffFeat: number | null;
  top1Conc: number | null;
  slotTop1Conc: number | null;
}

export interface PeopleStudy {
  preset: PeoplePreset;
  model: Model;
  alignment: PeopleAlignment & { id: string };
  sweep: {
    results: PeopleCell[];
    controls: PeopleCell[];
    linearProbe: { accuracy: Rate; binding: Rate } | null;
    das: { dimensions: number } | null;
  };
}

const FILE = new URL('../../data/one-hop/biographies.jsonl', import.meta.url);

/** The first `count` people, or all; returns the dataset's id. */
export async function importPeople(api: ApiClient, count = Number.POSITIVE_INFINITY): Promise<string> {
  const lines = (await readFile(FILE, 'utf8')).trim().split('\n');
  const people = new Set<string>();
  const content = lines
    .filter((line) => {
      const { entity } = JSON.parse(line) as { entity?: string };
      if (entity !== undefined && people.size < count) people.add(entity);
      return entity === undefined || people.has(entity);
    })
    .join('\n');
  const reply = await api.request<{
    importDataset: { __typename: 'ImportDatasetSuccess'; dataset: { id: string } };
  }>(operations.IMPORT_DATASET, { input: { format: 'JSONL', content } });
  return success(reply.importDataset).dataset.id;
}

export async function trainOnPeople(api: ApiClient, trial: boolean): Promise<Model> {
  heading('The authors’ people');
  const datasetId = await importPeople(api);
  const settings = { ...MODEL, ...(trial && TRIAL.model), seed: 0 };
  const id = await runAndWatch(api, 'GPT-2', START_MODEL_RUN, { datasetId, settings });
  return (await read<{ model: Model }>(api, operations.MODEL, id)).model;
}

export async function studyPeople(
  api: ApiClient,
  model: Model,
  preset: PeoplePreset,
  { layer, alignment: settings, sweep: cells, controls }: Subject,
  trial: boolean,
): Promise<PeopleStudy> {
  heading(preset);
  const alignment = await result<PeopleAlignment>(
    ...([api, operations.PEOPLE_ALIGNMENT, 'AlignSAE', START_ALIGNMENT_RUN] as const),
    {
      modelId: model.id,
      settings: {
        ...{ preset, seed: 0, layer, nFree: N_FREE, positions: 'ANSWER', ...settings },
        ...(trial && TRIAL.alignment),
      },
    },
  );
  const sweep = await result<PeopleStudy['sweep']>(
    ...([api, operations.PEOPLE_SWEEP, 'swaps', operations.START_SWAP_SWEEP] as const),
    {
      runId: alignment.id,
      settings: {
        ...{ seed: 0, population: 'UNSEEN', split: 'TRAIN', placement: 'ANSWER', ...cells },
        controls: preset === 'COUNTERFACTUAL' ? controls : [],
        ...(trial && TRIAL.sweep),
      },
    },
  );
  return { preset, model, alignment, sweep };
}
