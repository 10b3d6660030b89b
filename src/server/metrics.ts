/** Figures for Prometheus, on a port of their own; nothing is counted where nobody asks. */
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { AppError } from '../errors.ts';
import { eventReads, operations, requests, subscriptions } from '../telemetry.ts';

export interface MetricsOptions {
  host: string;
  port: number;
  /** Runs by kind and status, and how many wait for a worker and are worked on. */
  countRuns(): Promise<{
    byStatus: { kind: string; status: string; n: number }[];
    queued: number;
    running: number;
  }>;
  /** Process ids of the engines of this process. */
  enginePids(): number[];
}

export interface MetricsServer {
  url: string;
  close(): Promise<void>;
}

/** Starts to count and to answer `/metrics`. @throws AppError UNAVAILABLE when the port cannot be had. */
export async function startMetrics(options: MetricsOptions): Promise<MetricsServer> {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const forget = count(registry);
  addGauges(registry, options);
  const server = createServer((request, response) => {
    if (request.url !== '/metrics') return void response.writeHead(404).end();
    registry.metrics().then(
      (text) => response.writeHead(200, { 'content-type': registry.contentType }).end(text),
      () => response.writeHead(503).end(),
    );
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', ({ message }) =>
      reject(
        new AppError(
          'UNAVAILABLE',
          `METRICS_PORT: cannot listen on ${options.host}:${options.port}: ${message}`,
        ),
      ),
    );
    server.listen(options.port, options.host, resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://${options.host}:${port}/metrics`,
    async close() {
      forget();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** What is counted as it happens; the returned function ends it. */
function count(registry: Registry): () => void {
  const registers = [registry];
  const answered = new Counter({
    name: 'alignsae_http_requests_total',
    help: 'Requests over HTTP that were answered or broke off.',
    labelNames: ['route', 'status'],
    registers,
  });
  const ended = new Counter({
    name: 'alignsae_operations_total',
    help: 'GraphQL operations that ended.',
    labelNames: ['operation', 'outcome'],
    registers,
  });
  const seconds = new Histogram({
    name: 'alignsae_operation_seconds',
    help: 'Time that queries and mutations took.',
    labelNames: ['operation'],
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
    registers,
  });
  const open = new Gauge({ name: 'alignsae_subscriptions', help: 'Subscriptions that are open.', registers });
  const lag = new Histogram({
    name: 'alignsae_event_lag_seconds',
    help: 'From an event of a run to its way to subscribers.',
    buckets: [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers,
  });
  const forget = [
    requests.listen(({ route, status }) => answered.inc({ route, status })),
    operations.listen(({ operation, errors, ms }) => {
      ended.inc({ operation, outcome: errors > 0 ? 'error' : 'ok' });
      if (operation !== 'subscription') seconds.observe({ operation }, ms / 1000);
    }),
    subscriptions.listen((change) => open.inc(change)),
    eventReads.listen(({ lagMs }) => lag.observe(lagMs / 1000)),
  ];
  return () => {
    for (const end of forget) end();
  };
}

/** What is looked up when it is asked for. */
function addGauges(registry: Registry, { countRuns, enginePids }: MetricsOptions): void {
  const registers = [registry];
  let asked: ReturnType<typeof countRuns> | null = null;
  // Gauges look at the same time, and one look is enough for both.
  const look = () => {
    asked ??= countRuns().finally(() => {
      asked = null;
    });
    return asked;
  };
  const runs = new Gauge({
    name: 'alignsae_runs',
    help: 'Runs by kind and status.',
    labelNames: ['kind', 'status'],
    registers,
    async collect() {
      const { byStatus } = await look();
      runs.reset();
      for (const { kind, status, n } of byStatus) runs.set({ kind, status }, n);
    },
  });
  const queue = new Gauge({
    name: 'alignsae_queue',
    help: 'Runs that wait for a worker, and that are worked on.',
    labelNames: ['state'],
    registers,
    async collect() {
      const { queued, running } = await look();
      queue.set({ state: 'queued' }, queued);
      queue.set({ state: 'running' }, running);
    },
  });
  const memory = new Gauge({
    name: 'alignsae_engine_memory_bytes',
    help: 'Resident memory of the engines of this process.',
    registers,
    async collect() {
      const sizes = await Promise.all(enginePids().map(residentBytes));
      memory.set(sizes.reduce((sum, bytes) => sum + bytes, 0));
    },
  });
}

/** 0 for a process that is gone, and where there is no /proc. */
async function residentBytes(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(text)?.[1] ?? 0) * 1024;
}
