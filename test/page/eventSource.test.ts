import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Database } from '../../src/db/client.ts';
import { appendMetrics } from '../../src/db/queries/events.ts';
import { finishRun } from '../../src/db/queries/runs.ts';
import { createTestDatabase } from '../helpers/database.ts';
import { insertRunningRun } from '../helpers/fixtures.ts';
import { modelRunId, RUN_EVENTS, startTestApi, type TestApi } from '../server/edge.ts';
import { findBrowser, launch, openWindow } from './browser.ts';
import { startProxy } from './proxy.ts';

const executable = findBrowser();
const STEPS = Array.from({ length: 200 }, (_, step) => step);

let database: Database;
let api: TestApi;
let browser: Browser;

beforeAll(async () => {
  if (!executable) return;
  database = await createTestDatabase();
  [api, browser] = await Promise.all([startTestApi(database), launch(executable)]);
});
afterAll(async () => {
  if (!executable) return;
  await Promise.all([api.stop(), browser.close()]);
  await database.close();
});

it.skipIf(!executable)('a browser’s EventSource that is cut twice misses and repeats nothing', async () => {
  const { id, claim } = await insertRunningRun(database.db);
  const points = STEPS.map((step) => ({ step, at: 0, values: { loss: 1 } }));
  await appendMetrics(database.db, claim, points);
  await finishRun(database.db, claim, {});
  const proxy = await startProxy(api.url, [5_000, 9_001]);
  const { page, close } = await openWindow(browser, proxy.url);
  await page.goto('/health');
  const query = new URLSearchParams({ query: RUN_EVENTS, variables: JSON.stringify({ id: modelRunId(id) }) });
  const seen = await page.evaluate(
    (address) =>
      new Promise<(number | undefined)[]>((resolve) => {
        const steps: (number | undefined)[] = [];
        const events = new EventSource(address);
        events.addEventListener('next', ({ data }) => steps.push(JSON.parse(data).data.runEvents.event.step));
        events.addEventListener('complete', () => {
          events.close();
          resolve(steps);
        });
      }),
    `/graphql?${query}`,
  );
  expect(seen.filter((step) => step !== undefined)).toEqual(STEPS);
  expect(proxy.cutsLeft).toBe(0);
  await close();
  await proxy.close();
});
