/**
 * Sends hostile strings and random operations to a server and counts what must not be: INTERNAL, a dropped connection,
 * an answer later than two seconds. Ends with code 1 where there is any.
 * `npx tsx bench/fuzz.ts [--strings 5000] [--operations 50000] [--seed 0] [--concurrency 8] [--url http://…]`; without
 * `--url` it starts a server of its own, as the demo does; set DATA_DIR to keep its data apart.
 */
import { parseArgs } from 'node:util';
import { createApiClient } from '../src/demo/client.ts';
import { startOwnServer } from '../src/demo/server.ts';
import { createRandom } from '../src/random.ts';
import { buildSchema } from '../src/schema/schema.ts';
import { drawOperations, type Operation } from './fuzz/operations.ts';
import { placesOf } from './fuzz/places.ts';
import { plantSeeds } from './fuzz/seeds.ts';
import { hostileStrings } from './fuzz/strings.ts';

const { values: options } = parseArgs({
  options: {
    strings: { type: 'string', default: '5000' },
    operations: { type: 'string', default: '50000' },
    seed: { type: 'string', default: '0' },
    concurrency: { type: 'string', default: '8' },
    url: { type: 'string' },
  },
});
const LIMIT_MS = 2000;

const server = options.url ? null : await startOwnServer();
const endpoint = new URL('/graphql', options.url ?? server!.url).href;
let hasExited = false;
void server?.exited.then(() => {
  hasExited = true;
});

const tally = { sent: 0, internal: 0, broken: 0, late: 0, slowest: 0, examples: new Map<string, string>() };
const client = createApiClient(endpoint);
try {
  const schema = buildSchema();
  const seeds = await plantSeeds(client);
  const seed = Number(options.seed);
  const places = placesOf(schema, seeds, {
    people: 1,
    entities: 2,
    relations: 2,
    trainShare: 0.5,
    maxNewTokens: 1,
  });
  let i = 0;
  await sendAll('hostile strings', hostileStrings(Number(options.strings), seed), (text) => {
    const place = places[i++ % places.length]!;
    return { kind: place.operation, query: place.query, variables: place.variables(text) };
  });
  const draw = drawOperations(schema, seeds, createRandom(seed, 'fuzzed operations'));
  await sendAll('fuzzed operations', Array(Number(options.operations)).keys(), draw);
} finally {
  await client.close();
  if (hasExited) console.error('the server ended by itself');
  await server?.stop();
}
process.exitCode = hasExited || tally.internal + tally.broken + tally.late > 0 ? 1 : 0;

async function sendAll<T>(what: string, items: Iterable<T>, make: (item: T) => Operation): Promise<void> {
  Object.assign(tally, { sent: 0, internal: 0, broken: 0, late: 0, slowest: 0, examples: new Map() });
  const queue = items[Symbol.iterator]();
  const started = performance.now();
  const send = async () => {
    for (let next = queue.next(); !next.done; next = queue.next()) await count(make(next.value));
  };
  await Promise.all(Array.from({ length: Number(options.concurrency) }, send));
  const seconds = ((performance.now() - started) / 1000).toFixed(0);
  console.log(
    `${tally.sent} ${what} in ${seconds} s: ${tally.internal} INTERNAL, ${tally.broken} without an answer, ${tally.late} later than ${LIMIT_MS} ms; slowest ${tally.slowest.toFixed(0)} ms`,
  );
  for (const [wrong, example] of tally.examples) console.log(`  ${wrong}: ${example.slice(0, 600)}`);
}

async function count(operation: Operation): Promise<void> {
  const started = performance.now();
  const answer = await ask(operation);
  const ms = performance.now() - started;
  tally.sent += 1;
  tally.slowest = Math.max(tally.slowest, ms);
  const note = (wrong: 'internal' | 'broken' | 'late') => {
    tally[wrong] += 1;
    const field = /\{ (?:\w+: )?(\w+)/.exec(operation.query)?.[1];
    tally.examples.set(`${wrong} ${field}`, `${JSON.stringify(operation)} → ${answer.slice(0, 300)}`);
  };
  if (answer.includes('"code":"INTERNAL"')) note('internal');
  if (!/"data"|"errors"|^event:|^:/.test(answer)) note('broken');
  if (ms > LIMIT_MS) note('late');
}

/** The text of the answer; of a subscription, its first part. */
async function ask({ kind, query, variables }: Operation): Promise<string> {
  const accept = kind === 'subscription' ? 'text/event-stream' : 'application/json';
  const controller = new AbortController();
  try {
    const response = await fetch(endpoint, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept },
      body: JSON.stringify({ query, variables }),
      signal: controller.signal,
    });
    if (kind !== 'subscription') return await response.text();
    const { value } = await response.body!.getReader().read();
    return new TextDecoder().decode(value);
  } catch (error) {
    return `no answer: ${(error as Error).message}`;
  } finally {
    controller.abort();
  }
}
