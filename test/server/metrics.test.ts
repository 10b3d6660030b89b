import { readFile } from 'node:fs/promises';
import { request } from 'node:http';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type MetricsServer, startMetrics } from '../../src/server/metrics.ts';
import { eventReads, operations, requests, subscriptions } from '../../src/telemetry.ts';

let metrics: MetricsServer;
beforeAll(async () => {
  metrics = await startMetrics({
    host: '127.0.0.1',
    port: 0,
    countRuns: async () => ({ byStatus: [{ kind: 'MODEL', status: 'FAILED', n: 3 }], queued: 2, running: 1 }),
    enginePids: () => [process.pid, 2 ** 30],
  });
});
afterAll(() => metrics.close());

const read = async () => (await fetch(metrics.url)).text();

test('requests, operations, subscriptions, runs, the queue, engines and the lag of events are told', async () => {
  requests.tell({ route: '/graphql', status: 200, ms: 3 });
  operations.tell({ operation: 'query', errors: 0, ms: 30 });
  operations.tell({ operation: 'mutation', errors: 1, ms: 3 });
  subscriptions.tell(1);
  subscriptions.tell(1);
  subscriptions.tell(-1);
  eventReads.tell({ lagMs: 2000 });
  const text = await read();
  for (const line of [
    'alignsae_http_requests_total{route="/graphql",status="200"} 1',
    'alignsae_operations_total{operation="query",outcome="ok"} 1',
    'alignsae_operations_total{operation="mutation",outcome="error"} 1',
    'alignsae_operation_seconds_bucket{le="0.05",operation="query"} 1',
    'alignsae_operation_seconds_bucket{le="0.025",operation="query"} 0',
    'alignsae_subscriptions 1',
    'alignsae_runs{kind="MODEL",status="FAILED"} 3',
    'alignsae_queue{state="queued"} 2',
    'alignsae_event_lag_seconds_bucket{le="1"} 0',
    'alignsae_event_lag_seconds_count 1',
  ])
    expect(text.split('\n')).toContain(line);
  expect(Number(/^alignsae_engine_memory_bytes (\d+)/m.exec(text)?.[1])).toBeGreaterThan(1e7);
});

test("Grafana's dashboard asks for nothing that is not told, by no label that it does not have", async () => {
  const text = await read();
  const told = new Set(
    [...text.matchAll(/^# TYPE (\S+) (\w+)$/gm)].flatMap(([, name, type]) =>
      type === 'histogram' ? [`${name}_bucket`, `${name}_sum`, `${name}_count`] : [name!],
    ),
  );
  const dashboard = await readFile(new URL('../../deploy/grafana/alignsae.json', import.meta.url), 'utf8');
  const queries = [...dashboard.matchAll(/"(?:expr|query)": "((?:[^"\\]|\\.)*)"/g)].map(
    ([, query]) => query!,
  );
  const asked = queries.flatMap((query) => query.match(/\b(?:alignsae|process|nodejs)_\w+/g) ?? []);
  expect(new Set(asked).size).toBeGreaterThan(9);
  expect(asked.filter((name) => !told.has(name))).toEqual([]);
  const labels = queries
    .flatMap((query) => [...query.matchAll(/by \(([^)]*)\)/g)])
    .flatMap(([, by]) => by!.split(', '));
  expect([...new Set(labels)].filter((label) => !text.includes(`${label}="`))).toEqual([]);
});

test('nothing else is there, and nothing is answered after the end', async () => {
  expect((await fetch(metrics.url.replace('/metrics', '/'))).status).toBe(404);
  const other = await startMetrics({
    host: '127.0.0.1',
    port: 0,
    enginePids: () => [],
    countRuns: () => Promise.reject(new Error('the database is away')),
  });
  expect((await fetch(other.url)).status).toBe(503);
  const port = Number(new URL(other.url).port);
  await expect(
    startMetrics({ host: '127.0.0.1', port, enginePids: () => [], countRuns: null as never }),
  ).rejects.toThrow('METRICS_PORT: cannot listen on');
  await other.close();
  await expect(new Promise((_, reject) => request(other.url).on('error', reject).end())).rejects.toThrow(
    'ECONNREFUSED',
  );
});
