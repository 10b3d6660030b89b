/** The comparison itself, as any client of the API would make it. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type ApiClient, success } from '../../src/demo/client.ts';
import { START_ALIGNMENT_RUN } from '../../src/demo/operations.ts';
import { result } from '../results/ask.ts';
import type { Rate } from '../results/markdown.ts';
import { IMPORT_DATASET, START_BASELINE_RUN, START_SWAP_SWEEP } from '../results/operations.ts';
import type { Inputs } from './inputs.ts';
import * as operations from './operations.ts';

export interface Alignment {
  chosenAlpha: number | null;
  known: { examples: number; accuracy: number };
  heldOut: { examples: number; accuracy: number };
  reconstruction: { fvu: number; l0: number; deadLatents: number };
  swaps: { control: string; population: string; split: string; trials: number; successes: number }[];
  faithfulness: { replacement: string; accuracy: Rate }[];
}

export interface Cell {
  kind?: string;
  alpha: number;
  success: Rate;
  otherPrompts: Rate;
  texts: Rate;
}

/** Seconds between the first news of a phase and those of the next one. */
export type Seconds = Record<string, number>;

export interface Compared {
  name: string;
  alignment: Alignment;
  seconds: Seconds;
  /** Absent until it is measured. */
  sweep?: { results: Cell[]; controls: Cell[] };
}

export interface Comparison {
  /** Of the training of the SAE that is imported. */
  pretraining: { seconds: Seconds; steps: number; rows: number };
  settings: { nFree: number; k: number; layer: number; steps: number };
  all: Compared[];
}

const LAYER = 21;
const SHAPE = { activation: 'TOPK', k: 32, nFree: 1024 };
const SEED = 0;

export interface Given extends Inputs {
  importDir: string;
  trial: boolean;
}

/** What is compared so far, again and again, each time with more. */
export async function* compare(api: ApiClient, url: string, given: Given): AsyncGenerator<Comparison> {
  const steps = given.trial ? { pre: 10, post: 10 } : { pre: 800, post: 600 };
  const { on, sae, pretraining } = await importPretrained(api, url, given, steps.pre);
  const all: (Compared & { id: string })[] = [];
  const comparison = { pretraining, settings: { ...SHAPE, layer: LAYER, steps: steps.post }, all };
  const imported = { pretrainedSaeId: sae.id };
  for (const [name, input, more] of [
    ['imported, trained on', imported, {}],
    ['from nothing, 300 steps on the prompts', {}, SHAPE],
    ['imported, its latents frozen', imported, { freezeFree: true }],
    ['from nothing, no first stage', {}, { ...SHAPE, pretrain: { steps: 0 } }],
  ] as const) {
    const settings = { ...recipe(steps.post), ...more };
    const asked = { ...on, ...input, settings };
    const run = await result<Alignment>(api, operations.ALIGNMENT, name, START_ALIGNMENT_RUN, asked);
    const { id, ...alignment } = run;
    all.push({ name, alignment, seconds: await phases(api, id), id });
    yield comparison;
  }
  for (const compared of all) {
    compared.sweep = await result<NonNullable<Compared['sweep']>>(
      ...([api, operations.SWEEP, compared.name, START_SWAP_SWEEP] as const),
      { runId: compared.id, baselineSaeId: sae.id, settings: sweepOf(compared.alignment) },
    );
    yield comparison;
  }
}

/** Trains an SAE on text, takes it out as files of SAELens and imports those. */
async function importPretrained(api: ApiClient, url: string, given: Given, steps: number) {
  const make = async <T>(query: string, input: object): Promise<T> =>
    success(
      Object.values(await api.request<Record<string, { __typename: string }>>(query, { input }))[0]!,
    ) as T;
  type Made<Noun extends string> = Record<Noun, { id: string }>;
  const { model } = await make<Made<'model'>>(operations.IMPORT_MODEL, { path: given.model });
  const importDataset = async (path: string) => {
    const { prefix, answerEnd } = given;
    return (await make<Made<'dataset'>>(IMPORT_DATASET, { path, prefix, answerEnd })).dataset.id;
  };
  const { corpus } = await make<Made<'corpus'>>(operations.IMPORT_CORPUS, { path: given.corpus });
  const batchSize = 256;
  const texts = { bufferRows: 4096, draws: 16 };
  const trained = await result<{ sae: Files }>(api, operations.BASELINE, 'SAE of text', START_BASELINE_RUN, {
    ...{ modelId: model.id, datasetId: await importDataset(given.elsewhere), corpusId: corpus.id },
    settings: { ...SHAPE, seed: SEED, layer: LAYER, trainOn: 'TEXTS', texts, steps, batchSize },
  });
  await saveFiles(url, trained.sae.saeLens, join(given.importDir, 'sae'));
  const on = { modelId: model.id, datasetId: await importDataset(given.dataset) };
  const { sae } = await make<Made<'sae'>>(operations.IMPORT_SAE, { ...on, path: 'sae' });
  const rows = (steps * batchSize) / texts.draws;
  return { on, sae, pretraining: { seconds: await phases(api, trained.id), steps, rows } };
}

/** At the alpha that was chosen on validation; larger ones are for latents that are not bound. */
function sweepOf({ chosenAlpha }: Alignment) {
  return {
    ...{ seed: SEED, methods: ['LATENT_DECODE'], controls: ['UNSUPERVISED_LATENT', 'RANDOM_LATENT'] },
    ...{ alphas: [chosenAlpha ?? 1, 5, 20], promptsPerPair: 10, isolationPerPair: 5, split: 'TEST_OOD' },
  };
}

/** COUNTERFACTUAL as it does on a real model: more silence on more rows, no value heads. */
function recipe(steps: number) {
  return {
    ...{ preset: 'COUNTERFACTUAL', seed: SEED, layer: LAYER, unseenShare: 0.27, validationShare: 0.15 },
    ...{ weights: { silence: 10, value: 0 }, silentRows: 128, posttrain: { steps } },
    ...{ alphas: [1, 1.5, 2, 3], swapTrials: 200 },
  };
}

interface Files {
  saeLens: { cfgUrl: string; weightsUrl: string };
}

async function saveFiles(url: string, { cfgUrl, weightsUrl }: Files['saeLens'], to: string): Promise<void> {
  await mkdir(to, { recursive: true });
  for (const [name, path] of Object.entries({ 'cfg.json': cfgUrl, 'sae_weights.safetensors': weightsUrl })) {
    const response = await fetch(new URL(path, url));
    if (!response.ok) throw new Error(`${path} answered ${response.status}`);
    await writeFile(join(to, name), Buffer.from(await response.arrayBuffer()));
  }
}

interface Told {
  runEvents: { at: string; event: { __typename: string; phase?: string } };
}

/** How long each phase of a run that has ended took. */
async function phases(api: ApiClient, id: string): Promise<Seconds> {
  const seconds: Seconds = {};
  const begun: { phase: string; at: number }[] = [];
  for await (const { runEvents } of api.subscribe<Told>(operations.PHASES, { id })) {
    const { phase } = runEvents.event;
    if (phase !== undefined && phase !== begun.at(-1)?.phase)
      begun.push({ phase, at: Date.parse(runEvents.at) });
  }
  begun.slice(1).forEach(({ at }, i) => {
    const { phase, at: from } = begun[i]!;
    seconds[phase] = (seconds[phase] ?? 0) + (at - from) / 1000;
  });
  return seconds;
}
