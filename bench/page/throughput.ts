/**
 * Requests a second for the bindings of 100 slots, five fields each: this API beside bare `pg` behind `node:http`, which
 * runs the statements that the API ran and writes the same rows. Both in one process of its own, asked in turns.
 */
import { fork } from 'node:child_process';
import { Agent, createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { eq } from 'drizzle-orm';
import type { Pool, QueryArrayResult } from 'pg';
import { createDatabase, type Db } from '../../src/db/client.ts';
import { concepts, datasets, ontologies, slots, splitMeasures } from '../../src/db/tables/index.ts';
import { encodeGlobalId } from '../../src/schema/ids.ts';
import { insertDataset, insertQueuedRun } from '../../test/helpers/fixtures.ts';
import { silentLog } from '../../test/helpers/log.ts';
import { startTestApi } from '../../test/server/edge.ts';

const ROWS = 100;
const CONNECTIONS = 8;
const ROUNDS = 5;
const ROUND_MS = 3_000;
const QUERY = `query ($id: ID!) { run(id: $id) { ... on AlignmentRun { slots(first: ${ROWS}) { edges { node {
  id index concept { key label } bindingAccuracy(split: TRAIN)
} } } } } }`;

export interface Throughput {
  /** Requests a second, medians of the rounds. */
  api: number;
  bare: number;
}

interface Started {
  api: string;
  bare: string;
}

export async function measureThroughput(db: Db, databaseUrl: string): Promise<Throughput> {
  const id = encodeGlobalId('AlignmentRun', await insertBoundRun(db));
  // As a server is started.
  const env = { ...process.env, NODE_ENV: 'production' };
  const child = fork(fileURLToPath(import.meta.url), [databaseUrl, id], { env });
  try {
    const { api, bare } = await new Promise<Started>((resolve, reject) => {
      child.once('message', (message) => resolve(message as Started));
      child.once('exit', (code) => reject(new Error(`the servers ended with ${code}`)));
    });
    const body = JSON.stringify({ query: QUERY, variables: { id } });
    const rates: { api: number[]; bare: number[] } = { api: [], bare: [] };
    for (let round = 0; round < ROUNDS + 1; round += 1) {
      const own = { api: await load(api, body), bare: await load(bare, body) };
      // The first warms both.
      if (round > 0) for (const name of ['api', 'bare'] as const) rates[name].push(own[name]);
    }
    const median = (values: number[]) => values.sort((a, b) => a - b)[values.length >> 1]!;
    return { api: median(rates.api), bare: median(rates.bare) };
  } finally {
    child.kill('SIGKILL');
  }
}

async function insertBoundRun(db: Db): Promise<string> {
  const datasetId = await insertDataset(db);
  const [ontology] = await db
    .insert(ontologies)
    .values({ slug: 'bound', version: 1, name: 'Bound' })
    .returning();
  await db.update(datasets).set({ ontologyId: ontology!.id }).where(eq(datasets.id, datasetId));
  const own = await db
    .insert(concepts)
    .values(
      Array.from({ length: ROWS }, (_, position) => ({
        ...{ ontologyId: ontology!.id, key: `concept_${position}`, label: `concept ${position}`, position },
      })),
    )
    .returning();
  const { id } = await insertQueuedRun(db, { datasetId, kind: 'ALIGNMENT' });
  await db.insert(slots).values(
    own.map(({ id: conceptId, position }) => ({
      ...{ runId: id, conceptId, index: 1024 + position, topExamples: [], topTokens: [] },
    })),
  );
  const shares = own.map(({ position }) => position / ROWS);
  await db.insert(splitMeasures).values({
    ...{ runId: id, split: 'TRAIN', examples: 100, accuracy: 0.5, top3: 0.5, top5: 0.5 },
    ...{ diagonalAccuracy: 0.5, diagonalStrength: 0.5, matrix: [], conceptAccuracy: shares },
    ...{ fvu: 0, l0: 0, deadLatents: 0 },
  });
  return id;
}

/** Requests a second while so many connections ask again as soon as they are answered. */
async function load(url: string, body: string): Promise<number> {
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  const end = performance.now() + ROUND_MS;
  let answered = 0;
  const connection = async () => {
    while (performance.now() < end) {
      await post(url, body, agent);
      answered += 1;
    }
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, connection));
  agent.destroy();
  return (answered / ROUND_MS) * 1000;
}

function post(url: string, body: string, agent: Agent): Promise<string> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
    const sent = request(url, { method: 'POST', agent, headers }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => {
        text += part;
      });
      response.on('end', () => (response.statusCode === 200 ? resolve(text) : reject(new Error(text))));
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

type Statement = Parameters<Pool['query']>;

/** The statements by which the API answers, as it gives them to the pool. */
async function statementsOf(pool: Pool, ask: () => Promise<unknown>): Promise<Statement[]> {
  const statements: Statement[] = [];
  const query = pool.query;
  pool.query = ((...statement: Statement) => {
    statements.push(statement);
    return query.apply(pool, statement);
  }) as Pool['query'];
  await ask();
  pool.query = query;
  return statements;
}

async function serve(databaseUrl: string, id: string): Promise<void> {
  const database = createDatabase(databaseUrl, { log: silentLog });
  const api = await startTestApi(database);
  const body = JSON.stringify({ query: QUERY, variables: { id } });
  const agent = new Agent();
  const statements = await statementsOf(database.pool, async () => {
    const { data } = JSON.parse(await post(api.endpoint, body, agent));
    if (data.run.slots.edges.length !== ROWS) throw new Error('the run has not the slots that are asked for');
  });
  const bare = createServer((request, response) => {
    request.resume();
    request.on('end', async () => {
      const results: QueryArrayResult[] = [];
      for (const statement of statements)
        results.push((await database.pool.query(...statement)) as unknown as QueryArrayResult);
      const longest = results.reduce((a, b) => (b.rows.length > a.rows.length ? b : a));
      const text = JSON.stringify({ data: longest.rows.map((row) => row.slice(0, 5)) });
      response.writeHead(200, { 'content-type': 'application/json' }).end(text);
    });
  });
  await new Promise<void>((resolve) => bare.listen(0, '127.0.0.1', resolve));
  const { port } = bare.address() as AddressInfo;
  process.send!({ api: api.endpoint, bare: `http://127.0.0.1:${port}/` } satisfies Started);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await serve(process.argv[2]!, process.argv[3]!);
