/**
 * Time from the engine's measurement of a training step to 50 subscribers' messages, while it trains: one server with
 * API, worker and embedded Postgres as in the demo, each subscriber on a WebSocket of its own. This process counts
 * against the same cores. `npx tsx bench/latency.ts [--subscribers 50] [--steps 400]`
 */
import { parseArgs } from 'node:util';
import { type ApiClient, createApiClient, success } from '../src/demo/client.ts';
import { GENERATE_DATASET, START_MODEL_RUN } from '../src/demo/operations.ts';
import { startOwnServer } from '../src/demo/server.ts';

const METRICS = /* GraphQL */ `
  subscription Metrics($id: ID!) {
    runEvents(id: $id) { at event { __typename } }
  }
`;

interface Message {
  runEvents: { at: string; event: { __typename: string } };
}

type Made<K extends string, T> = Record<K, { __typename: `${string}Success` } & T>;

const { values: options } = parseArgs({
  options: {
    subscribers: { type: 'string', default: '50' },
    steps: { type: 'string', default: '400' },
  },
});

const server = await startOwnServer();
const endpoint = new URL('/graphql', server.url).href;
const clients = Array.from({ length: Number(options.subscribers) }, () => createApiClient(endpoint));
try {
  const id = await startTraining(clients[0]!);
  const latencies = (await Promise.all(clients.map((client) => follow(client, id)))).flat();
  latencies.sort((a, b) => a - b);
  const quantile = (q: number) => latencies[Math.min(latencies.length - 1, Math.floor(q * latencies.length))];
  console.log(
    `${latencies.length} messages to ${clients.length} subscribers: median ${quantile(0.5)} ms, p95 ${quantile(0.95)} ms, slowest ${quantile(1)} ms`,
  );
} finally {
  await Promise.all(clients.map((client) => client.close()));
  await server.stop();
}

async function startTraining(api: ApiClient): Promise<string> {
  const { generateDataset } = await api.request<Made<'generateDataset', { dataset: { id: string } }>>(
    GENERATE_DATASET,
    { input: { people: 100, seed: 0 } },
  );
  const datasetId = success(generateDataset).dataset.id;
  const { startModelRun } = await api.request<Made<'startModelRun', { run: { id: string } }>>(
    START_MODEL_RUN,
    { input: { datasetId, settings: { steps: Number(options.steps) } } },
  );
  return success(startModelRun).run.id;
}

/** Milliseconds from each measured step to its message. */
async function follow(client: ApiClient, id: string): Promise<number[]> {
  const latencies: number[] = [];
  for await (const { runEvents } of client.subscribe<Message>(METRICS, { id })) {
    if (runEvents.event.__typename === 'MetricsLogged') latencies.push(Date.now() - Date.parse(runEvents.at));
  }
  return latencies;
}
