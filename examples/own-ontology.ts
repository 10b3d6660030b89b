/**
 * Two ontologies of one's own on a model from elsewhere, as an API client: import a GPT-2 checkpoint; fine-tune it on
 * facts about units of measurement and align a slot to each thing one can ask of a unit; then take the checkpoint as
 * it came and align slots to the mood of sentences, of which nothing is known but the label.
 */
import { parseArgs } from 'node:util';
import { type ApiClient, createApiClient, success } from '../src/demo/client.ts';
import { START_ALIGNMENT_RUN, START_MODEL_RUN, SWAP_CONCEPT } from '../src/demo/operations.ts';
import { type Ended, finished } from '../src/demo/replies.ts';
import { startOwnServer } from '../src/demo/server.ts';
import { heading, line, percent } from '../src/demo/terminal.ts';
import { runAndWatch } from '../src/demo/watch.ts';
import { sentimentLines, unitLines } from './own-ontology-data.ts';

const USAGE = `npm run example:own-ontology -- [--url URL] [--path DIRECTORY | --repo NAME]

  --url URL         a server that runs already; without it the example starts one and ends it when it is through
  --path DIRECTORY  a GPT-2 checkpoint below the server's IMPORT_DIR (default gpt2/f16: random weights, made for tests)
  --repo NAME       a GPT-2 checkpoint on the Hugging Face hub instead, such as openai-community/gpt2
`;

const IMPORT_MODEL = /* GraphQL */ `
  mutation ImportModel($input: ImportModelInput!) {
    importModel(input: $input) {
      __typename
      ... on ImportModelSuccess { model { id name nParams config { nLayers dModel } } }
      ... on Error { message }
      ... on InputError { path }
    }
  }
`;

const IMPORT_DATASET = /* GraphQL */ `
  mutation ImportDataset($input: ImportDatasetInput!) {
    importDataset(input: $input) {
      __typename
      ... on ImportDatasetSuccess {
        dataset {
          id
          splits { name size }
          ontology { slug concepts { id key label } }
          asked: examples(first: 1, split: TEST_OOD) { edges { node { id prompt } } }
        }
      }
      ... on Error { message }
      ... on InputError { path }
    }
  }
`;

const RESULTS = /* GraphQL */ `
  query Results($id: ID!) {
    run(id: $id) {
      status
      error { message }
      ... on ModelRun { model { id accuracy(split: TRAIN) } }
      ... on AlignmentRun {
        chosenAlpha
        binding(split: TEST_OOD) { accuracy }
        swaps { control population trials successRate chosen }
      }
    }
  }
`;

interface Model {
  id: string;
  name: string;
  nParams: number;
  config: { nLayers: number; dModel: number };
}

interface Dataset {
  id: string;
  splits: { name: string; size: number }[];
  ontology: { slug: string; concepts: { id: string; key: string; label: string }[] };
  asked: { edges: { node: { id: string; prompt: string } }[] };
}

interface Run extends Ended {
  model: { id: string; accuracy: number };
  chosenAlpha: number | null;
  binding: { accuracy: number };
  swaps: unknown[];
}

interface Intervention {
  prompt: string;
  alpha: number;
  /** Null where no fact says what would be right. */
  expectedAnswer: string | null;
  baseline: { text: string };
  result: { text: string };
}

export interface Findings {
  /** Whole answers about units, of the fine-tuned model. */
  accuracy: number;
  /** Share of held-out prompts whose strongest slot is their concept's. */
  binding: { units: number; sentiment: number };
  swapped: { units: Intervention; sentiment: Intervention };
  /** Swaps measured with sentences that have no facts. */
  sentimentSwaps: number;
  sentiment: { modelId: string; datasetId: string };
}

/** All of it, on whatever server `api` speaks to; `checkpoint` says where the model is. */
export async function studyOwnOntologies(
  api: ApiClient,
  checkpoint: { path: string } | { repo: string },
): Promise<Findings> {
  heading('A model from elsewhere');
  const model = await importOne<Model>(api, IMPORT_MODEL, checkpoint, 'model');
  line(`  ${model.name}: ${model.config.nLayers} × ${model.config.dModel}, ${model.nParams} parameters`);

  heading('Units of measurement: facts, questions, fine-tuning');
  const units = await importLines(api, unitLines());
  const tuning = {
    datasetId: units.id,
    modelId: model.id,
    settings: { steps: 600, learningRate: 3e-3, batchSize: 48 },
  };
  const tuned = await finish(api, await runAndWatch(api, 'Fine-tuning', START_MODEL_RUN, tuning));
  line(`  whole answers right: ${percent(tuned.model.accuracy)}`);
  const unitsRunId = await align(api, tuned.model.id, units, 1);
  const aboutUnits = await finish(api, unitsRunId);
  line(`  binding on held-out wordings: ${percent(aboutUnits.binding.accuracy)}`);
  const swapped = await swapOne(api, unitsRunId, units);

  heading('Sentences with a mood: labels alone, the model as it came');
  const sentiment = await importLines(api, sentimentLines());
  const moodsRunId = await align(api, model.id, sentiment, 0);
  const aboutMoods = await finish(api, moodsRunId);
  line(`  binding on held-out sentences: ${percent(aboutMoods.binding.accuracy)}`);
  const shifted = await swapOne(api, moodsRunId, sentiment);
  return {
    accuracy: tuned.model.accuracy,
    binding: { units: aboutUnits.binding.accuracy, sentiment: aboutMoods.binding.accuracy },
    swapped: { units: swapped, sentiment: shifted },
    sentimentSwaps: aboutMoods.swaps.length,
    sentiment: { modelId: model.id, datasetId: sentiment.id },
  };
}

async function importOne<T>(api: ApiClient, mutation: string, input: object, field: string): Promise<T> {
  const reply = await api.request<Record<string, { __typename: string }>>(mutation, { input });
  return (success(Object.values(reply)[0]!) as unknown as Record<string, T>)[field]!;
}

async function importLines(api: ApiClient, lines: readonly object[]): Promise<Dataset> {
  const content = lines.map((each) => JSON.stringify(each)).join('\n');
  const dataset = await importOne<Dataset>(api, IMPORT_DATASET, { content }, 'dataset');
  const { ontology, splits } = dataset;
  line(`  ontology ${ontology.slug}: ${ontology.concepts.map(({ label }) => label).join(', ')}`);
  line(`  ${splits.map(({ name, size }) => `${name} ${size}`).join(', ')}`);
  return dataset;
}

function align(api: ApiClient, modelId: string, { id }: Dataset, layer: number): Promise<string> {
  const settings = { layer, nFree: 256, pretrain: { steps: 300 }, posttrain: { steps: 600 } };
  return runAndWatch(api, 'AlignSAE', START_ALIGNMENT_RUN, { modelId, datasetId: id, settings });
}

async function finish(api: ApiClient, id: string): Promise<Run> {
  return finished((await api.request<{ run: Run }>(RESULTS, { id })).run);
}

/** Asks a held-out question with the last concept's slot on in the place of its own. */
async function swapOne(api: ApiClient, runId: string, { ontology, asked }: Dataset): Promise<Intervention> {
  const input = {
    ...{ runId, exampleId: asked.edges[0]!.node.id, alpha: 1.5 },
    ...{ sourceConcept: ontology.concepts[0]!.key, targetConcept: ontology.concepts.at(-1)!.key },
  };
  const intervention = await importOne<Intervention>(api, SWAP_CONCEPT, input, 'intervention');
  line(`  ${intervention.prompt} → ${intervention.baseline.text.trim()}`);
  line(
    `  swapped → ${intervention.result.text.trim()} (expected ${intervention.expectedAnswer ?? 'unknown'})`,
  );
  return intervention;
}

async function main(): Promise<void> {
  const { values: flags } = parseArgs({
    options: {
      url: { type: 'string' },
      path: { type: 'string', default: 'gpt2/f16' },
      repo: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (flags.help) return void process.stdout.write(USAGE);
  process.env.IMPORT_DIR ??= 'test/fixtures';
  const server = flags.url ? null : await startOwnServer();
  const api = createApiClient(new URL('/graphql', flags.url ?? server!.url).href);
  try {
    await studyOwnOntologies(api, flags.repo ? { repo: flags.repo } : { path: flags.path });
  } finally {
    await api.close();
    await server?.stop();
  }
}

if (import.meta.filename === process.argv[1]) await main();
