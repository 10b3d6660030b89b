/**
 * Live streams under load: `npx tsx bench/subscribers.ts [--subscribers 1000] [--seconds 20]
 * [--only paced,burst,catchUp,unread] [--out file.json]`.
 * One API server as it is started, on an embedded Postgres of its own; subscribers, each on a WebSocket of its own, in a
 * second process; this one writes the events, as a worker does. All share the cores of the machine.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { appendMetrics } from '../src/db/queries/events.ts';
import { encodeGlobalId } from '../src/schema/ids.ts';
import { endProcess, startServer, urlOf } from './serverProcess.ts';
import type { Crowd, CrowdReport } from './subscribers/client.ts';
import { openRuns } from './subscribers/runs.ts';
import { measureUnread } from './subscribers/unread.ts';

const { values: options } = parseArgs({
  options: {
    subscribers: { type: 'string', default: '1000' },
    seconds: { type: 'string', default: '20' },
    only: { type: 'string', default: 'paced,burst,catchUp,unread' },
    out: { type: 'string' },
  },
});
const subscribers = Number(options.subscribers);
const CLIENT = fileURLToPath(new URL('./subscribers/client.ts', import.meta.url));

interface Figures {
  messages: number;
  missed: number;
  messagesPerSecond: number;
  latencyMs: CrowdReport['latency'];
  healthP95Ms: number;
  serverMaxMB: number;
}

const runs = await openRuns();
const server = await startApi(runs.connectionString);
try {
  const parts: Record<string, () => Promise<unknown>> = {
    paced: () => measure({ readers: subscribers, deaf: 20 }, 20 * Number(options.seconds), writePaced),
    burst: () => measure({ readers: subscribers, deaf: 0 }, 1000, (run, steps) => writeBurst(run, steps, 50)),
    catchUp: () => measureCatchUp(20, 5000),
    unread: () => measureUnread(runs, server),
  };
  const report: Record<string, unknown> = {
    machine: `${cpus().length} × ${cpus()[0]!.model}, Node ${process.version}`,
  };
  for (const name of options.only.split(',')) report[name] = await parts[name]!();
  console.log(JSON.stringify(report, null, 2));
  if (options.out) await writeFile(options.out, `${JSON.stringify(report, null, 2)}\n`);
} finally {
  await endProcess(server.child);
  await runs.close();
}

type Run = Awaited<ReturnType<typeof runs.start>>;

/** Twenty events a second. */
async function writePaced(run: Run, steps: number): Promise<void> {
  const start = performance.now();
  for (let step = 1; step <= steps; step++) {
    await delay(Math.max(0, start + step * 50 - performance.now()));
    await appendMetrics(runs.db, run.claim, [row(step)]);
  }
}

/** All there is, in batches, as fast as it can be stored. */
async function writeBurst(run: Run, steps: number, batch: number): Promise<void> {
  for (let step = 1; step <= steps; step += batch)
    await appendMetrics(
      runs.db,
      run.claim,
      Array.from({ length: Math.min(batch, steps + 1 - step) }, (_, i) => row(step + i)),
    );
}

function row(step: number) {
  return { step, at: Date.now(), values: { loss: 1 / step, sent: Date.now() } };
}

async function measure(
  crowd: Pick<Crowd, 'readers' | 'deaf'>,
  steps: number,
  write: (run: Run, steps: number) => Promise<void>,
): Promise<Figures> {
  const run = await runs.start();
  const runId = encodeGlobalId('ModelRun', run.id);
  const client = fork(CLIENT, { execArgv: ['--import', 'tsx'] });
  client.send({ ...crowd, endpoint: server.endpoint, runId, steps } satisfies Crowd);
  await once(client, 'message');
  return observe(client, () => write(run, steps));
}

/** Subscribers that begin when everything is written already. */
async function measureCatchUp(readers: number, steps: number): Promise<Figures> {
  const run = await runs.start();
  await writeBurst(run, steps, 500);
  const client = fork(CLIENT, { execArgv: ['--import', 'tsx'] });
  const runId = encodeGlobalId('ModelRun', run.id);
  return observe(client, async () => {
    client.send({ ...{ readers, deaf: 0, endpoint: server.endpoint }, runId, steps } satisfies Crowd);
    await once(client, 'message');
  });
}

/** Looks at the server's health and memory until the client has reported. */
async function observe(client: ChildProcess, act: () => Promise<void>): Promise<Figures> {
  let isOver = false;
  let serverMaxMB = 0;
  const health: number[] = [];
  const watching = (async () => {
    while (!isOver) {
      const started = performance.now();
      await (await fetch(`${server.url}/health`)).text();
      health.push(performance.now() - started);
      serverMaxMB = Math.max(serverMaxMB, await residentMB());
      await delay(20);
    }
  })();
  const reported = new Promise<CrowdReport>((resolve) => {
    client.on('message', (message) => typeof message === 'object' && resolve(message as CrowdReport));
  });
  await act();
  const { messages, missed, latency, elapsed } = await reported;
  isOver = true;
  await watching;
  health.sort((a, b) => a - b);
  return {
    ...{ messages, missed, latencyMs: latency },
    messagesPerSecond: Math.round((1000 * messages) / Math.max(1, elapsed)),
    healthP95Ms: Math.round(health[Math.floor(0.95 * health.length)]!),
    serverMaxMB: Math.round(serverMaxMB),
  };
}

async function residentMB(): Promise<number> {
  const status = await readFile(`/proc/${server.child.pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+)/.exec(status)![1]) / 1024;
}

async function startApi(connectionString: string) {
  const env = {
    ...{ DATABASE_URL: connectionString, ROLE: 'api', PORT: '0', DATA_DIR: runs.directory },
    ...{ ENGINE_BACKEND: 'wasm', MAX_SUBSCRIPTIONS: '5000', LOG_LEVEL: 'info' },
  };
  const started = await startServer(env, 'listening');
  const { child } = started;
  const url = urlOf(started);
  return { child, url, endpoint: `${url}/graphql`, residentMB };
}
