import { auditServer } from 'graphql-http';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Database } from '../../src/db/client.ts';
import { createTestDatabase } from '../helpers/database.ts';
import { startTestApi, type TestApi } from './edge.ts';

let database: Database;
let api: TestApi;

beforeAll(async () => {
  database = await createTestDatabase();
  api = await startTestApi(database);
});
afterAll(async () => {
  await api.stop();
  await database.close();
});

it('passes every audit of the GraphQL over HTTP specification', async () => {
  const results = await auditServer({ url: api.endpoint });
  const failed = results.filter(({ status }) => status !== 'ok');
  expect(failed.map(({ name, ...rest }) => `${name}: ${(rest as { reason?: string }).reason}`)).toEqual([]);
  expect(results).toHaveLength(61);
});
