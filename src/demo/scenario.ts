/** The main job, step by step: data, language model, two alignments, a concept swap with each, a closing table. */
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
import { GENERATE_DATASET, MODEL_RUN, START_MODEL_RUN } from './operations.ts';
import { type Dataset, type Ended, finished } from './replies.ts';
import { heading, line, percent, table } from './terminal.ts';
import { runAndWatch } from './watch.ts';

export interface DemoSettings {
  seed: number;
  people: number;
  /** Training steps of the language model; null takes the default of the backend. */
  steps: number | null;
}

const PRESETS = ['PAPER', 'COUNTERFACTUAL'] as const;
/** The wasm backend takes several times as long a step; this many still learn the facts. */
const WASM_STEPS = 500;

/** The ids of the alignments that it made. @throws Error when a step failed. */
export async function runDemo(api: ApiClient, settings: DemoSettings): Promise<string[]> {
  const steps = settings.steps ?? (await chooseSteps(api));
  const dataset = await generate(api, settings);
  const modelId = await trainModel(api, dataset, settings.seed, steps);
  const alignments: Alignment[] = [];
  for (const preset of PRESETS) {
    heading(`Alignment, preset ${preset}`);
    const input = { modelId, settings: { preset, seed: settings.seed } };
    const alignment = await align(api, preset, input);
    showBinding(alignment);
    await swapUniversity(api, dataset, alignment.id);
    alignments.push(alignment);
  }
  heading('People the SAE never saw');
  showResults(alignments);
  return alignments.map(({ id }) => id);
}

/** Says what computes; returns the training steps that fit it, null for the default. */
async function chooseSteps(api: ApiClient): Promise<number | null> {
  if (await showEngine(api)) return null;
  line(
    `  It is several times slower, so the language model trains ${WASM_STEPS} steps instead of the default.`,
  );
  return WASM_STEPS;
}

async function generate(api: ApiClient, { seed, people }: DemoSettings): Promise<Dataset> {
  heading('Ontology and dataset');
  const input = { people, seed };
  const reply = await api.request<{
    generateDataset: { __typename: 'GenerateDatasetSuccess'; dataset: Dataset };
  }>(GENERATE_DATASET, { input });
  const { dataset } = success(reply.generateDataset);
  showDataset(dataset);
  return dataset;
}

async function trainModel(
  api: ApiClient,
  dataset: Dataset,
  seed: number,
  steps: number | null,
): Promise<string> {
  heading('Language model');
  interface ModelRun extends Ended {
    model: { id: string; nParams: number; train: number; validation: number; testOod: number };
  }
  const input = { datasetId: dataset.id, settings: { seed, ...(steps === null ? {} : { steps }) } };
  const runId = await runAndWatch(api, 'GPT-2', START_MODEL_RUN, input);
  const { model } = finished((await api.request<{ run: ModelRun }>(MODEL_RUN, { id: runId })).run);
  line(`  ${model.nParams.toLocaleString('en')} parameters; whole answers right:`);
  const { train, validation, testOod } = model;
  line(`  TRAIN ${percent(train)}, VALIDATION ${percent(validation)}, TEST_OOD ${percent(testOod)}`);
  return model.id;
}

/** Asks for a person's birth city with the university's slot on instead. */
async function swapUniversity(api: ApiClient, dataset: Dataset, runId: string): Promise<void> {
  const [source, target] = ['birth_city', 'university'].map(
    (key) => dataset.ontology.concepts.find((c) => c.key === key)!,
  );
  const [exampleId] = await readExamples(api, dataset.id, source!.id, 1);
  const input = { runId, exampleId, sourceConcept: source!.key, targetConcept: target!.key };
  showSwap(await swapConcept(api, input), dataset.answerEnd);
}

function showResults(alignments: Alignment[]): void {
  const rate = (a: Alignment, control: string, split: string) => {
    const swaps = findSwaps(a, control, split);
    return swaps ? percent(swaps.successRate!) : '–';
  };
  const rows = alignments.map((a, i) => [
    PRESETS[i]!,
    a.chosenAlpha ?? '–',
    percent(a.binding.accuracy),
    rate(a, 'CONCEPT', 'TRAIN'),
    rate(a, 'CONCEPT', 'TEST_OOD'),
  ]);
  const control = alignments.at(-1)!;
  const random = (split: string) => rate(control, 'RANDOM_LATENT', split);
  table([
    ['slots', 'alpha', 'binding', 'swap, known phrasing', 'swap, held-out phrasing'],
    ...rows,
    ['random latent', control.chosenAlpha ?? '–', '–', random('TRAIN'), random('TEST_OOD')],
  ]);
}
