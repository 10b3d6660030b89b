/**
 * The published two-hop facts, studied as an API client: import them, ask about each, train a model, align a slot
 * to each of the twenty relations, and swap one relation for another. Everything below is what any app could send.
 */
import { parseArgs } from 'node:util';
import { type ApiClient, createApiClient, success } from '../src/demo/client.ts';
import {
  ALIGNMENT_RUN,
  MODEL_RUN,
  START_ALIGNMENT_RUN,
  START_MODEL_RUN,
  SWAP_CONCEPT,
} from '../src/demo/operations.ts';
import { type Concept, type Ended, finished, type SwapReply } from '../src/demo/replies.ts';
import { type OwnServer, startOwnServer } from '../src/demo/server.ts';
import { heading, line, percent, table } from '../src/demo/terminal.ts';
import { runAndWatch } from '../src/demo/watch.ts';

const USAGE = `npm run example:two-hop -- [--url URL] [--seed N] [--from KEY] [--to KEY]

  --url URL    a server that runs already, such as http://127.0.0.1:4000, with data/ as its IMPORT_DIR;
               without it the example starts one and ends it when it is through
  --seed N     seed of the model and the alignment (default 0)
  --from KEY   the relation to turn off (default boss_of)
  --to KEY     the relation to turn on instead (default friend_of)
`;

/** Learn the 800 facts on every phrasing; the API's defaults suit biographies. */
const MODEL_SETTINGS = {
  nLayers: 3,
  dModel: 128,
  initStd: 0.04,
  steps: 800,
  batchSize: 128,
  learningRate: 1e-3,
  textShare: 0,
};
/** Binds best on validation questions, of the first two blocks with one model seed. */
const ALIGNMENT_SETTINGS = { preset: 'COUNTERFACTUAL', layer: 0 };

/** What `data/two-hop/` holds. */
const PUBLISHED = { facts: 800, relations: 20, TRAIN: 6400, VALIDATION: 1600, TEST_OOD: 0 };

const DATASET_FIELDS = /* GraphQL */ `
  id
  name
  ontology { slug version concepts { id key label } }
  facts { totalCount }
  splits { name size }
  examples(first: 2, split: TRAIN) { edges { node { prompt answer } } }
`;

const IMPORT_DATASET = /* GraphQL */ `
  mutation ImportDataset($input: ImportDatasetInput!) {
    importDataset(input: $input) {
      __typename
      ... on ImportDatasetSuccess { dataset { ${DATASET_FIELDS} } }
      ... on Error { message }
      ... on InputError { path }
    }
  }
`;

const GENERATE_QUESTIONS = /* GraphQL */ `
  mutation GenerateQuestions($input: GenerateQuestionsInput!) {
    generateQuestions(input: $input) {
      __typename
      ... on GenerateQuestionsSuccess { dataset { ${DATASET_FIELDS} } }
      ... on Error { message }
      ... on InputError { path }
    }
  }
`;

const HELD_OUT_QUESTIONS = /* GraphQL */ `
  query HeldOutQuestions($id: ID!, $from: ID!, $to: ID!) {
    node(id: $id) {
      ... on Dataset {
        from: examples(first: 500, split: TEST_OOD, conceptId: $from) { ...questions }
        to: examples(first: 500, split: TEST_OOD, conceptId: $to) { ...questions }
      }
    }
  }
  fragment questions on ExampleConnection { edges { node { id entity answer } } }
`;

interface Dataset {
  id: string;
  name: string;
  ontology: { slug: string; version: number; concepts: Concept[] };
  facts: { totalCount: number };
  splits: { name: 'TRAIN' | 'VALIDATION' | 'TEST_OOD'; size: number }[];
  examples: { edges: { node: { prompt: string; answer: string } }[] };
}

interface ModelRun extends Ended {
  model: { id: string; nParams: number; train: number; validation: number; testOod: number };
}

interface AlignmentRun extends Ended {
  layer: number;
  chosenAlpha: number;
  binding: { accuracy: number; diagonalAccuracy: number };
  reconstruction: { fvu: number };
  swaps: {
    control: string;
    population: string;
    split: string;
    trials: number;
    successRate: number;
    chosen: boolean;
  }[];
}

const { values: flags } = parseArgs({
  options: {
    url: { type: 'string' },
    seed: { type: 'string', default: '0' },
    from: { type: 'string', default: 'boss_of' },
    to: { type: 'string', default: 'friend_of' },
    help: { type: 'boolean', default: false },
  },
});

if (flags.help) process.stdout.write(USAGE);
else await main();

async function main(): Promise<void> {
  const server: OwnServer | null = flags.url ? null : await startOwnServer();
  const api = createApiClient(new URL('/graphql', flags.url ?? server!.url).href);
  try {
    await study(api, Number(flags.seed));
  } catch (error) {
    process.exitCode = 1;
    line(`\nThe example did not finish: ${(error as Error).message}`);
    if (server) line(`The server's log is ${server.logFile}`);
  } finally {
    await api.close();
    await server?.stop();
  }
}

async function study(api: ApiClient, seed: number): Promise<void> {
  const published = await importPublished(api);
  const questions = await askAboutFacts(api, published);
  const modelId = await trainModel(api, questions, seed);
  const runId = await alignSlots(api, modelId, seed);
  await swapRelations(api, questions, runId);
}

async function importPublished(api: ApiClient): Promise<Dataset> {
  heading('The published facts and questions');
  const input = { format: 'TWO_HOP', path: 'two-hop', name: 'Published two-hop questions' };
  const reply = await api.request<{
    importDataset: { __typename: 'ImportDatasetSuccess'; dataset: Dataset };
  }>(IMPORT_DATASET, { input });
  const { dataset } = success(reply.importDataset);
  showDataset(dataset);
  const { ontology, facts, splits } = dataset;
  const sizes = Object.fromEntries(splits.map(({ name, size }) => [name, size]));
  const found = { facts: facts.totalCount, relations: ontology.concepts.length, ...sizes };
  if (Object.entries(PUBLISHED).some(([what, count]) => found[what as keyof typeof found] !== count))
    throw new Error(`expected ${JSON.stringify(PUBLISHED)}, imported ${JSON.stringify(found)}`);
  return dataset;
}

async function askAboutFacts(api: ApiClient, { id, name }: Dataset): Promise<Dataset> {
  heading('One-hop questions about the facts');
  const input = { datasetId: id, name: `One-hop: ${name}` };
  const reply = await api.request<{
    generateQuestions: { __typename: 'GenerateQuestionsSuccess'; dataset: Dataset };
  }>(GENERATE_QUESTIONS, { input });
  const { dataset } = success(reply.generateQuestions);
  showDataset(dataset);
  return dataset;
}

function showDataset({ ontology, facts, splits, examples }: Dataset): void {
  line(`  ontology ${ontology.slug}: ${ontology.concepts.map(({ label }) => label).join(', ')}`);
  line(`  ${facts.totalCount} facts; ${splits.map(({ name, size }) => `${name} ${size}`).join(', ')}`);
  for (const { node } of examples.edges) line(`  "${node.prompt}" → "${node.answer}"`);
}

async function trainModel(api: ApiClient, { id }: Dataset, seed: number): Promise<string> {
  heading('Language model');
  const input = { datasetId: id, settings: { ...MODEL_SETTINGS, seed } };
  const runId = await runAndWatch(api, 'GPT-2', START_MODEL_RUN, input);
  const { model } = finished((await api.request<{ run: ModelRun }>(MODEL_RUN, { id: runId })).run);
  line(`  ${model.nParams.toLocaleString('en')} parameters; whole answers right:`);
  const { train, validation, testOod } = model;
  line(`  TRAIN ${percent(train)}, VALIDATION ${percent(validation)}, TEST_OOD ${percent(testOod)}`);
  return model.id;
}

async function alignSlots(api: ApiClient, modelId: string, seed: number): Promise<string> {
  heading('A slot for each relation');
  const input = { modelId, settings: { ...ALIGNMENT_SETTINGS, seed } };
  const runId = await runAndWatch(api, 'AlignSAE', START_ALIGNMENT_RUN, input);
  const run = finished((await api.request<{ run: AlignmentRun }>(ALIGNMENT_RUN, { id: runId })).run);
  const { binding, reconstruction, chosenAlpha, layer } = run;
  line(`  blocks.${layer}.resid_post, held-out phrasings: binding ${percent(binding.accuracy)},`);
  line(`  diagonal ${percent(binding.diagonalAccuracy)}, FVU ${reconstruction.fvu.toFixed(3)}`);
  line(`  Swaps at alpha ${chosenAlpha}, chosen on people that are not reported:`);
  const reported = run.swaps.filter(({ chosen, population }) => chosen && population !== 'VALIDATION');
  table([
    ['latents', 'people', 'phrasings', 'swaps', 'success'],
    ...reported.map((s) => [s.control, s.population, s.split, s.trials, percent(s.successRate)]),
  ]);
  return runId;
}

/** Asks for one relation with another's slot on instead. */
async function swapRelations(api: ApiClient, dataset: Dataset, runId: string): Promise<void> {
  const from = conceptOf(dataset, flags.from);
  const to = conceptOf(dataset, flags.to);
  heading(`Swap ${from.label} → ${to.label}`);
  const exampleId = await findQuestion(api, dataset, from, to);
  const input = { runId, exampleId, sourceConcept: from.key, targetConcept: to.key };
  const reply = await api.request<{
    swapConcept: SwapReply;
  }>(SWAP_CONCEPT, { input });
  const swap = success(reply.swapConcept).intervention;
  line(`  prompt    ${swap.prompt}`);
  line(`  before    ${swap.baseline.text.trim()}`);
  line(`  after     ${swap.result.text.trim()}   (alpha ${swap.alpha})`);
  line(`  expected  ${swap.expectedAnswer}${swap.success ? '  ✓' : '  ✗'}`);
}

/** A held-out question of somebody whose answers for the two relations differ, so that a swap can be seen. */
async function findQuestion(api: ApiClient, { id }: Dataset, from: Concept, to: Concept): Promise<string> {
  interface Questions {
    edges: { node: { id: string; entity: string; answer: string } }[];
  }
  const variables = { id, from: from.id, to: to.id };
  const { node } = await api.request<{ node: Record<'from' | 'to', Questions> }>(
    HELD_OUT_QUESTIONS,
    variables,
  );
  const target = new Map(node.to.edges.map(({ node: { entity, answer } }) => [entity, answer]));
  const found = node.from.edges.find(({ node: { entity, answer } }) => target.get(entity) !== answer);
  if (!found) throw new Error(`nobody has different answers for ${from.key} and ${to.key}`);
  return found.node.id;
}

function conceptOf({ ontology }: Dataset, key: string): Concept {
  const found = ontology.concepts.find((concept) => concept.key === key);
  if (!found)
    throw new Error(`no relation ${key}; there are ${ontology.concepts.map((c) => c.key).join(', ')}`);
  return found;
}
