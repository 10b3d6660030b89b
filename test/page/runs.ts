/** Short runs for the page to show: tiny, but made by the real engine. */
import { TINY_TWO_HOPS, TWO_HOP_ITEMS, TWO_HOP_RELATIONS } from '../helpers/twoHops.ts';
import { overSse, post } from '../server/edge.ts';

const MODEL = { nLayers: 2, nHeads: 2, dModel: 32, steps: 400, batchSize: 32, warmupSteps: 20, logEvery: 1 };
const ALIGNMENT = {
  ...{ nFree: 32, swapTrials: 20, logEvery: 1, validateEvery: 5 },
  pretrain: { steps: 20, batchSize: 32 },
  posttrain: { steps: 40, batchSize: 32 },
};

/** Where it is asked. */
interface Api {
  endpoint: string;
}

export interface TinyRuns {
  dataset: string;
  model: string;
  modelRun: string;
  alignment: string;
  sweep: string;
  grokking: string;
}

const START = '{ __typename ... on StartRunSuccess { run { id } } ... on Error { message } }';

/** Starts a run and gives its id. @throws Error with what the server has against it */
export async function startRun(server: Api, name: string, input: object): Promise<string> {
  const type = `${name[0]!.toUpperCase()}${name.slice(1)}Input`;
  const query = `mutation ($input: ${type}!) { ${name}(input: $input) ${START} }`;
  const { body } = await post(server, query, { input });
  const started = body.data?.[name];
  if (!started?.run) throw new Error(started?.message ?? JSON.stringify(body.errors));
  return started.run.id;
}

/** Resolves when the run has ended. */
export async function ended(server: Api, id: string): Promise<void> {
  for await (const _ of overSse(server, { id }));
}

export async function makeDataset(server: Api): Promise<string> {
  const query =
    'mutation { generateDataset(input: { people: 8 }) { ... on GenerateDatasetSuccess { dataset { id } } } }';
  return (await post(server, query)).body.data.generateDataset.dataset.id;
}

/** A model of eight people and an alignment with it. */
export async function makeRuns(server: Api): Promise<TinyRuns> {
  const dataset = await makeDataset(server);
  const modelRun = await startRun(server, 'startModelRun', { datasetId: dataset, settings: MODEL });
  // Whatever can wait in the queue does, so that the worker never waits for this.
  const grokking = await startGrokking(server);
  await ended(server, modelRun);
  const query = 'query ($id: ID!) { run(id: $id) { ... on ModelRun { model { id } } } }';
  const model = (await post(server, query, { id: modelRun })).body.data.run.model.id;
  const alignment = await startRun(server, 'startAlignmentRun', {
    ...{ modelId: model, name: 'tiny alignment', tags: ['test'] },
    settings: ALIGNMENT,
  });
  const sweep = await startRun(server, 'startAlignmentSweep', {
    ...{ modelId: model, layers: [0], seeds: [0], settings: ALIGNMENT },
  });
  await Promise.all([grokking, alignment, sweep].map((id) => ended(server, id)));
  return { dataset, model, modelRun, alignment, sweep, grokking };
}

async function startGrokking(server: Api): Promise<string> {
  const lines = [
    { type: 'ontology', slug: 'people', name: 'People' },
    ...TWO_HOP_RELATIONS.map((key) => ({ type: 'concept', key, label: key })),
    ...TWO_HOP_ITEMS,
  ];
  const query = `mutation ($content: String!) { importDataset(input: { content: $content, name: "Two hops" }) {
    ... on ImportDatasetSuccess { dataset { id } } } }`;
  const content = lines.map((line) => JSON.stringify(line)).join('\n');
  const { body } = await post(server, query, { content });
  const { analysis, modelSettings } = TINY_TWO_HOPS;
  return startRun(server, 'startGrokkingRun', {
    datasetId: body.data.importDataset.dataset.id,
    ...{ name: 'a film', modelSettings, settings: { checkpoints: { steps: [0, 60, 120] }, analysis } },
  });
}

/** A model run that lasts for some seconds, each step of which is logged. */
export function startLongRun(server: Api, datasetId: string, steps: number): Promise<string> {
  return startRun(server, 'startModelRun', {
    ...{ datasetId, name: 'a long run' },
    settings: { ...MODEL, steps, dModel: 64, batchSize: 32 },
  });
}
