/**
 * How long the API takes over a large database: every list and every curve through HTTP, median and 95th percentile.
 * `npx tsx bench/database.ts [scale] [directory]`; scale 1 is 20,000 runs, 5 M metric points, 200,000 events. On the
 * embedded Postgres with its production settings, the API in a process of its own.
 */
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { createDatabase } from '../src/db/client.ts';
import { startEmbeddedPostgres } from '../src/db/embedded.ts';
import { inspectDatabase } from '../src/db/inspect.ts';
import { migrateDatabase } from '../src/db/migrate.ts';
import { encodeGlobalId } from '../src/schema/ids.ts';
import { type Filled, fillDatabase } from './database/fill.ts';
import { endProcess, startServer, urlOf } from './serverProcess.ts';

const REPEATS = 40;
const log = pino({ level: 'warn' });

interface Case {
  name: string;
  query: string;
  variables?: Record<string, unknown>;
}

const RUN_FIELDS = 'edges { cursor node { id kind status phase progress createdAt } } pageInfo { endCursor }';
const CURVE = `query ($id: ID!, $n: Int!) { run(id: $id) { metrics(maxPoints: $n) { name points { step value } } } }`;

/** Lists first, curves last. */
async function casesOf({ datasetId, longRunId, wideRunId }: Filled, ask: Ask): Promise<Case[]> {
  const middle = await cursorInTheMiddle(ask);
  const dataset = encodeGlobalId('Dataset', datasetId);
  const run = (args: string) => `{ runs(${args}) { ${RUN_FIELDS} } }`;
  const curve = (name: string, id: string, n: number) => ({
    name: `${name}, at most ${n} points`,
    query: CURVE,
    variables: { id: encodeGlobalId('ModelRun', id), n },
  });
  return [
    { name: 'runs, first 20', query: run('first: 20') },
    { name: 'runs, first 500', query: run('first: 500') },
    { name: 'runs, last 20', query: run('last: 20') },
    { name: 'runs, 20 in the middle', query: run(`first: 20, after: "${middle}"`) },
    { name: 'runs, first 20 with their number', query: `{ runs(first: 20) { totalCount ${RUN_FIELDS} } }` },
    { name: 'runs that failed', query: run('first: 20, filter: { status: [FAILED] }') },
    { name: 'runs that wait', query: run('first: 20, filter: { status: [QUEUED] }') },
    { name: 'runs of a kind', query: run('first: 20, filter: { kind: [BASELINE] }') },
    { name: 'runs of a kind that nobody has', query: run('first: 20, filter: { kind: [GROKKING] }') },
    { name: 'runs of a dataset', query: run(`first: 20, filter: { datasetId: "${dataset}" }`) },
    {
      name: 'runs of a kind, a status and a dataset, with their number',
      query: `{ runs(first: 20, filter: { kind: [MODEL], status: [FAILED], datasetId: "${dataset}" }) { totalCount ${RUN_FIELDS} } }`,
    },
    { name: 'runs that are parts', query: run('first: 20, filter: { isPart: true }') },
    {
      name: 'datasets',
      query: '{ datasets(first: 20) { totalCount edges { node { id name createdAt } } } }',
    },
    { name: 'models', query: '{ models(first: 20) { totalCount edges { node { id name createdAt } } } }' },
    { name: 'ontologies', query: '{ ontologies(first: 20) { totalCount edges { node { id slug } } } }' },
    { name: 'interventions', query: '{ interventions(first: 20) { totalCount edges { node { id } } } }' },
    { name: 'the queue', query: '{ engine { queue { queued running } } }' },
    curve('one series', longRunId, 500),
    curve('one series', longRunId, 10_000),
    curve('eight series', wideRunId, 500),
    curve('eight series', wideRunId, 1000),
  ];
}

// biome-ignore lint/suspicious/noExplicitAny: answers of many shapes
type Ask = (query: string, variables?: Record<string, unknown>) => Promise<any>;

async function cursorInTheMiddle(ask: Ask): Promise<string> {
  let after = '';
  for (let page = 0; page < 4; page += 1) {
    const argument = after ? `, after: "${after}"` : '';
    after = (await ask(`{ runs(first: 500${argument}) { pageInfo { endCursor } } }`)).runs.pageInfo.endCursor;
  }
  return after;
}

async function measure(ask: Ask, { name, query, variables }: Case): Promise<void> {
  const times: number[] = [];
  const started = performance.now();
  await ask(query, variables);
  const first = performance.now() - started;
  for (let i = 0; i < REPEATS; i += 1) {
    const start = performance.now();
    await ask(query, variables);
    times.push(performance.now() - start);
  }
  times.sort((a, b) => a - b);
  const at = (share: number) => times[Math.floor(share * (times.length - 1))]!.toFixed(1).padStart(8);
  console.log(`${name.padEnd(62)}${at(0.5)}${at(0.95)}${first.toFixed(1).padStart(10)}`);
}

async function startApi(databaseUrl: string, dataDir: string): Promise<{ ask: Ask; stop(): Promise<void> }> {
  const env = {
    ...{ DATABASE_URL: databaseUrl, DATA_DIR: dataDir, ROLE: 'api', PORT: '0', ENGINE_BACKEND: 'wasm' },
    MAX_QUERY_COMPLEXITY: '1000000',
  };
  const started = await startServer(env, 'listening');
  const url = urlOf(started);
  const ask: Ask = async (query, variables = {}) => {
    const response = await fetch(`${url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ query, variables }),
    });
    const body = await response.json();
    if (body.errors) throw new Error(JSON.stringify(body.errors[0]));
    return body.data;
  };
  return { ask, stop: () => endProcess(started.child) };
}

async function main(): Promise<void> {
  const scale = Number(process.argv[2] ?? 1);
  const directory = await mkdtemp(join(process.argv[3] ?? tmpdir(), 'alignsae-bench-'));
  // As root, Postgres runs as somebody else, who has to get in.
  await chmod(directory, 0o755);
  const postgres = await startEmbeddedPostgres({ dataDir: join(directory, 'postgres'), log });
  const url = await inspectDatabase(postgres.connectionString);
  await migrateDatabase(url);
  const database = createDatabase(url, { log });
  try {
    const size = {
      ...{ runs: 20_000 * scale, longest: 1_000_000 * scale, points: 5_000_000 * scale },
      ...{ events: 200_000 * scale, others: 50 },
    };
    // Before there are artifacts, of which an empty store would have none.
    const api = await startApi(url, join(directory, 'data'));
    try {
      const filled = await fillDatabase(database.db, size);
      console.log(`${JSON.stringify(size)}; milliseconds\n${' '.repeat(62)}  median     p95     first`);
      for (const one of await casesOf(filled, api.ask)) await measure(api.ask, one);
    } finally {
      await api.stop();
    }
  } finally {
    await database.close();
    await postgres.stop();
    await rm(directory, { recursive: true, force: true });
  }
}

await main();
