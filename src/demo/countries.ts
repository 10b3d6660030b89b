/** The job on a real language model: what it knows of countries, slots for that, swaps, and a closing table. */
import {
  type Alignment,
  align,
  findSwaps,
  readExamples,
  showBinding,
  showDataset,
  showEngine,
  showSwap,
  swapConcept,
} from './alignments.ts';
import { type ApiClient, success } from './client.ts';
import { GENERATE_WORLD_DATASET, IMPORT_MODEL } from './operations.ts';
import type { Dataset } from './replies.ts';
import { heading, line, percent, table } from './terminal.ts';

export interface CountriesPlan {
  /** The model's GGUF file, below the server's import directory. */
  path: string;
  seed: number;
  countries: number;
  /** Settings of the alignment, besides the seed. */
  alignment: object;
}

/**
 * What is known to work on SmolLM2: its layer 21 of 30, slots bound at every token of the answer, and kept silent on more
 * other tokens than usual. Swaps are those whose answers it knows.
 */
export const SMOLLM2_ALIGNMENT = {
  preset: 'COUNTERFACTUAL',
  layer: 21,
  positions: 'ANSWER',
  nFree: 256,
  silentRows: 256,
  weights: { silence: 10, value: 0 },
  posttrain: { steps: 1200 },
  unseenShare: 0.27,
  validationShare: 0.15,
  alphas: [1, 1.5, 2, 3],
  swapTrials: 100,
  knownOnly: true,
};

/** Swaps that are shown one by one: keys of concepts. */
const SHOWN = [
  ['capital', 'language'],
  ['language', 'demonym'],
  ['demonym', 'continent'],
] as const;
/** Prompts that are tried for one whose answers the model knows. */
const TRIED = 10;

/** @throws Error where a real model would take hours. */
export async function needNative(api: ApiClient): Promise<void> {
  if (await showEngine(api)) return;
  throw new Error('a model of this size needs the native engine; wasm would take hours');
}

/** The id of the alignment that it made. @throws Error when a step failed. */
export async function runCountriesDemo(api: ApiClient, plan: CountriesPlan): Promise<string[]> {
  const modelId = await importModel(api, plan.path);
  const dataset = await ask(api, plan);
  heading('Alignment');
  const settings = { ...plan.alignment, seed: plan.seed };
  const alignment = await align(api, 'slots', { modelId, datasetId: dataset.id, settings });
  showBinding(alignment);
  heading('Swaps of what it knows');
  for (const [source, target] of SHOWN) await swapOne(api, dataset, alignment, { source, target });
  heading('Countries the SAE never saw');
  showResults(alignment);
  return [alignment.id];
}

async function importModel(api: ApiClient, path: string): Promise<string> {
  heading('Language model');
  interface Reply {
    importModel: {
      __typename: 'ImportModelSuccess';
      model: {
        id: string;
        nParams: number;
        architecture: string;
        config: { nLayers: number; dModel: number };
      };
    };
  }
  const { model } = success((await api.request<Reply>(IMPORT_MODEL, { input: { path } })).importModel);
  const { nParams, architecture, config } = model;
  line(`  ${path}, as it is: ${architecture}, ${nParams.toLocaleString('en')} parameters,`);
  line(`  ${config.nLayers} layers, width ${config.dModel}`);
  return model.id;
}

async function ask(api: ApiClient, { countries, seed }: CountriesPlan): Promise<Dataset> {
  heading('What it is asked');
  const input = { subject: 'COUNTRIES', entities: countries, seed };
  interface Reply {
    generateWorldDataset: { __typename: 'GenerateWorldDatasetSuccess'; dataset: Dataset };
  }
  const reply = await api.request<Reply>(GENERATE_WORLD_DATASET, { input });
  const { dataset } = success(reply.generateWorldDataset);
  showDataset(dataset);
  return dataset;
}

/** The first held-out prompt about the source of which the model knows both answers, with the target's slot on instead. */
async function swapOne(
  api: ApiClient,
  { id, ontology, answerEnd }: Dataset,
  alignment: Alignment,
  keys: { source: string; target: string },
): Promise<void> {
  const source = ontology.concepts.find(({ key }) => key === keys.source)!;
  const input = { runId: alignment.id, sourceConcept: keys.source, targetConcept: keys.target };
  for (const exampleId of await readExamples(api, id, source.id, TRIED)) {
    const swap = await swapConcept(api, { ...input, exampleId });
    if (swap.known) return showSwap(swap, answerEnd);
  }
  line(`  ${keys.source} → ${keys.target}: it knows both of none of the first ${TRIED} countries`);
}

const EDITS = {
  CONCEPT: 'slots',
  TRUE_ACTIVATION: 'the true activation',
  SUM: 'sum of country and concept',
  RANDOM_LATENT: 'random latent',
};

function showResults(alignment: Alignment): void {
  if (alignment.chosenAlpha === null) {
    line('  There was no swap to try: of no country does the model know two things that can be swapped.');
    return;
  }
  const cell = (control: string, split: string) => {
    const swaps = findSwaps(alignment, control, split);
    return swaps ? percent(swaps.successRate!) : '–';
  };
  table([
    ['edit', 'alpha', 'swap, known phrasing', 'swap, held-out phrasing'],
    ...Object.entries(EDITS).map(([control, name]) => [
      name,
      control === 'CONCEPT' || control === 'RANDOM_LATENT' ? (alignment.chosenAlpha ?? '–') : '–',
      cell(control, 'TRAIN'),
      cell(control, 'TEST_OOD'),
    ]),
  ]);
  const counted = (split: string) => {
    const { trials, leftOut } = findSwaps(alignment, 'CONCEPT', split) ?? { trials: 0, leftOut: 0 };
    return `${trials} (${leftOut} left out)`;
  };
  line(
    `  Whole answers, of swaps whose two answers the model knows by itself: ${counted('TRAIN')} in phrasings`,
  );
  line(`  that the SAE learned from, ${counted('TEST_OOD')} in others.`);
}
