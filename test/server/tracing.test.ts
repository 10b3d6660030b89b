import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Database } from '../../src/db/client.ts';
import { startTracing } from '../../src/tracing.ts';
import { startCollector } from '../helpers/collector.ts';
import { createTestDatabase } from '../helpers/database.ts';
import { silentLog } from '../helpers/log.ts';
import { post, startTestApi, type TestApi } from './edge.ts';

let database: Database;
let api: TestApi;
let collector: Awaited<ReturnType<typeof startCollector>>;
beforeAll(async () => {
  database = await createTestDatabase();
  api = await startTestApi(database);
  collector = await startCollector();
});
afterAll(async () => {
  await api.stop();
  await collector.close();
  await database.close();
});

test('requests and operations are spans that go on from the caller, and are sent before the end', async () => {
  process.env.OTEL_EXPORTER_OTLP_ENDPOINT = collector.url;
  process.env.OTEL_SERVICE_NAME = 'named';
  const tracing = startTracing('api', silentLog);
  const traceId = '0af7651916cd43dd8448eb211c80319c';
  const caller = 'b7ad6b7169203331';
  const headers = { traceparent: `00-${traceId}-${caller}-01`, 'x-request-id': 'r-1' };
  await post(api, 'query Typed { __typename }', {}, headers);
  await post(api, '{ runs(first: -1) { edges { cursor } } }');
  await fetch(`${api.url}/nowhere?key=secret`);
  await tracing.stop(5000);
  const find = (name: string) => collector.spans.filter((span) => span.name === name);
  const [first, failed] = find('POST /graphql');
  expect(first).toMatchObject({ traceId, parentSpanId: caller, resource: { 'service.name': 'named' } });
  expect(first!.attributes).toMatchObject({ 'http.response.status_code': 200 });
  expect(find('query Typed')).toMatchObject([
    { traceId, parentSpanId: first!.spanId, status: {}, attributes: { 'alignsae.request.id': 'r-1' } },
  ]);
  expect(find('query')).toMatchObject([
    { traceId: failed!.traceId, parentSpanId: failed!.spanId, status: { code: 2 } },
  ]);
  expect(find('GET other')).toMatchObject([{ attributes: { 'http.response.status_code': 404 } }]);
  expect(JSON.stringify(collector.spans)).not.toContain('secret');
  const sent = collector.spans.length;
  await post(api, '{ __typename }');
  expect(collector.spans.length).toBe(sent);
});
