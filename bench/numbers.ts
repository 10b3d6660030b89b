/**
 * Every figure that a seed gives, as one file, so that two states of the code can be compared on one machine:
 * `npx tsx bench/numbers.ts FILE` starts a server of its own, runs the demo's data, model and alignments, a baseline, swap
 * sweeps, an alignment sweep, a grokking run and its hop swaps with seed 0, and writes what all exports of these runs hold,
 * less ids and times. Then `diff FILE OTHER` is empty where no number changed. `--quick` takes short runs.
 */
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type ApiClient, createApiClient, success } from '../src/demo/client.ts';
import { GENERATE_DATASET, START_ALIGNMENT_RUN, START_MODEL_RUN } from '../src/demo/operations.ts';
import { startOwnServer } from '../src/demo/server.ts';
import { runAndWatch } from '../src/demo/watch.ts';
import { readFigures } from './results/figures.ts';
import * as operations from './results/operations.ts';

const { values: flags, positionals } = parseArgs({
  options: { quick: { type: 'boolean', default: false } },
  allowPositionals: true,
});
const [file] = positionals;
if (!file) throw new Error('which file shall hold the numbers? npx tsx bench/numbers.ts FILE');

const SWAP = /* GraphQL */ `
  mutation ($input: SwapConceptInput!) {
    swapConcept(input: $input) {
      __typename
      ... on SwapConceptSuccess {
        intervention {
          prompt success
          baseline { text tokens { text probability } }
          result { text tokens { text probability } }
          slots { slot { index } before after }
        }
      }
      ... on Error { message }
    }
  }
`;
const SOME_EXAMPLES = /* GraphQL */ `
  query ($id: ID!) {
    node(id: $id) { ... on Dataset { examples(first: 3, split: TEST_OOD) { edges { node { id } } } } }
  }
`;

const figures: Record<string, unknown> = {};
const quick = <T>(short: T, long: T): T => (flags.quick ? short : long);

async function main(url: string, api: ApiClient): Promise<void> {
  const keep = keeper(url, api);
  const dataset = await generate(api, GENERATE_DATASET, { people: quick(40, 100), seed: 0 });
  const steps = quick({ steps: 150 }, {});
  const training = await keep('model', START_MODEL_RUN, {
    datasetId: dataset,
    settings: { seed: 0, ...steps },
  });
  const modelId = await modelOf(api, training);
  for (const preset of ['PAPER', 'COUNTERFACTUAL']) {
    const runId = await keep(preset, START_ALIGNMENT_RUN, { modelId, settings: { preset, ...stages() } });
    await keepSwaps(api, dataset, runId, preset);
    for (const placement of ['LAST_TOKEN', 'ARMED']) {
      const settings = { placement, alphas: [1, 2], promptsPerPair: 5, isolationPerPair: 3 };
      await keep(`${preset} ${placement}`, operations.START_SWAP_SWEEP, { runId, settings });
    }
  }
  for (const activation of ['TOPK', 'BATCH_TOPK']) {
    const settings = { activation, ...stages() };
    await keep(activation, START_ALIGNMENT_RUN, { modelId, settings });
  }
  await keep('baseline', operations.START_BASELINE_RUN, { modelId, settings: { steps: quick(50, 300) } });
  await keep('layers', operations.START_ALIGNMENT_SWEEP, {
    modelId,
    layers: [-1, 1],
    settings: stages(),
  });
  await twoHops(api, keep);
}

/** Short stages, so that many runs fit into minutes. */
function stages() {
  return { pretrain: { steps: quick(30, 300) }, posttrain: { steps: quick(60, 800) } };
}

async function twoHops(api: ApiClient, keep: ReturnType<typeof keeper>): Promise<void> {
  const data = { entities: 20, relations: 10, factPhrasings: 0, trainShare: 0.15, seed: 0 };
  const datasetId = await generate(api, operations.GENERATE_TWO_HOP_DATASET, data);
  const grokking = await keep('grokking', operations.START_GROKKING_RUN, {
    datasetId,
    modelSettings: { seed: 0, nLayers: 2, nHeads: 1, nCtx: 16, steps: quick(100, 600), batchSize: 64 },
    settings: {
      checkpoints: { steps: quick([0, 50, 100], [0, 150, 600]) },
      analysis: { layer: 0, shared: false, posttrainSteps: quick(50, 300) },
    },
  });
  const settings = { alphas: [1, 2], trials: quick(50, 200) };
  await keep('hop swaps', operations.START_HOP_SWAP_RUN, { runId: grokking, settings });
}

/** Runs to the end, then keeps all of the run's exports. */
function keeper(url: string, api: ApiClient) {
  return async (label: string, mutation: string, input: Record<string, unknown>): Promise<string> => {
    const id = await runAndWatch(api, label, mutation, input);
    const { status, tables } = await readFigures(url, api, id);
    if (status !== 'SUCCEEDED') throw new Error(`${label} ended as ${status}`);
    for (const [name, rows] of Object.entries(tables)) figures[`${label}: ${name}`] = rows;
    return id;
  };
}

/** One-off swaps with every method. */
async function keepSwaps(api: ApiClient, datasetId: string, runId: string, label: string): Promise<void> {
  type Examples = { node: { examples: { edges: { node: { id: string } }[] } } };
  const { node: dataset } = await api.request<Examples>(SOME_EXAMPLES, { id: datasetId });
  for (const [i, { node }] of dataset.examples.edges.entries())
    for (const method of ['LATENT_DECODE', 'LATENT_DELTA', 'ORTHOGONAL', 'MEAN_DIFFERENCE'])
      for (const armed of [false, true]) {
        const input = { runId, exampleId: node.id, targetConcept: 'employer', alpha: 1, method, armed };
        figures[`${label}: swap ${i} ${method} ${armed ? 'armed' : 'placed'}`] = await api.request(SWAP, {
          input,
        });
      }
}

async function generate(api: ApiClient, mutation: string, input: object): Promise<string> {
  const reply = await api.request<Record<string, { __typename: string; dataset?: { id: string } }>>(
    mutation,
    {
      input,
    },
  );
  return (success(Object.values(reply)[0]!) as { dataset: { id: string } }).dataset.id;
}

async function modelOf(api: ApiClient, runId: string): Promise<string> {
  const query = 'query ($id: ID!) { run(id: $id) { ... on ModelRun { model { id } } } }';
  return (await api.request<{ run: { model: { id: string } } }>(query, { id: runId })).run.model.id;
}

process.env.DATA_DIR ??= mkdtempSync(join(tmpdir(), 'alignsae-numbers-'));
process.env.PORT ??= '0';
const server = await startOwnServer();
const api = createApiClient(`${server.url}/graphql`);
try {
  await main(server.url, api);
  writeFileSync(file, `${JSON.stringify(figures, null, 1)}\n`);
} finally {
  await api.close();
  await server.stop();
}
