/** The example of ontologies of one's own, on a server and an engine: no biography is needed anywhere. */
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { studyOwnOntologies } from '../../examples/own-ontology.ts';
import { createApiClient } from '../../src/demo/client.ts';
import { EngineCalls } from '../../src/jobs/calls.ts';
import { decodeGlobalId } from '../../src/schema/ids.ts';
import { silentLog } from '../helpers/log.ts';
import { type Farm, openFarm } from '../jobs/farm.ts';
import { startTestApi, type TestApi } from '../server/edge.ts';

const IMPORT_DIR = fileURLToPath(new URL('../fixtures', import.meta.url));
let farm: Farm;
let engine: EngineCalls;
let server: TestApi;
beforeAll(async () => {
  farm = await openFarm({ people: 1 });
  await farm.startWorker();
  engine = new EngineCalls({ backend: 'auto', native: inject('native'), log: silentLog });
  server = await startTestApi(farm.database, { IMPORT_DIR }, { work: { engine, store: farm.store } });
});
afterAll(async () => {
  await server.stop();
  await engine.stop();
  await farm.close();
});

test('an imported model is aligned to units, with facts, and to moods, with labels alone', async () => {
  const api = createApiClient(server.endpoint);
  const found = await studyOwnOntologies(api, { path: 'gpt2/f16' });
  const start = `mutation ($input: StartBaselineRunInput!) {
    startBaselineRun(input: $input) { ... on StartRunSuccess { run { id } } }
  }`;
  const settings = { layer: 0, nFree: 64, steps: 10 };
  const input = { ...found.sentiment, settings };
  const { startBaselineRun } = await api.request<{ startBaselineRun: { run: { id: string } } }>(start, {
    input,
  });
  const baseline = await farm.ended(decodeGlobalId(startBaselineRun.run.id).id);
  await api.close();
  expect(baseline).toMatchObject({ kind: 'BASELINE', status: 'SUCCEEDED', errorMessage: null });
  expect(found.accuracy).toBeGreaterThan(0.9);
  // Chance is a third.
  expect(found.binding.units).toBeGreaterThan(0.6);
  expect(found.binding.sentiment).toBeGreaterThan(0.6);
  expect(found.sentimentSwaps).toBe(0);
  expect(found.swapped.units.prompt).toMatch(/metre$/);
  expect(found.swapped.units.expectedAnswer).toBe('SI');
  expect(found.swapped.sentiment.expectedAnswer).toBeNull();
}, 240_000);
