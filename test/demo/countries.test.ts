/** The demo on a real language model, with a tiny one in its place: every operation, on the real engine. */
import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, inject, it, vi } from 'vitest';
import { createDatabase, type Database } from '../../src/db/client.ts';
import type { ApiClient } from '../../src/demo/client.ts';
import { runCountriesDemo, SMOLLM2_ALIGNMENT } from '../../src/demo/countries.ts';
import { EngineCalls } from '../../src/jobs/calls.ts';
import { type EngineOptions, probeEngine } from '../../src/jobs/host.ts';
import { type RunWorker, startWorker } from '../../src/jobs/worker.ts';
import { silentLog } from '../helpers/log.ts';
import { type Api, type Data, openApi } from '../schema/api.ts';

vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 });

const LLAMA = fileURLToPath(new URL('../fixtures/architectures/llama', import.meta.url));

let api: Api;
let worker: RunWorker;
let workerDatabase: Database;
let calls: EngineCalls;
beforeAll(async () => {
  const engine: EngineOptions = { backend: 'auto', native: inject('native'), log: silentLog };
  calls = new EngineCalls(engine);
  api = await openApi({ engine: calls });
  workerDatabase = createDatabase(api.database.connectionString, { log: silentLog });
  worker = await startWorker({
    ...{ database: workerDatabase, store: api.dependencies.store, notifications: api.notifications },
    ...{ engine, info: await probeEngine(engine), log: silentLog, workRoot: join(api.importDir, 'work') },
    ...{ concurrency: 1, checkpointEveryMs: 60_000, drainMs: 5000 },
  });
  // Positions by rotation are not counted, so that the prefix fits.
  await cp(LLAMA, join(api.importDir, 'tiny'), { recursive: true });
  const config = join(api.importDir, 'tiny/config.json');
  const said = JSON.parse(await readFile(config, 'utf8'));
  await writeFile(config, JSON.stringify({ ...said, max_position_embeddings: 1024 }));
});
afterAll(async () => {
  await worker.stop();
  await workerDatabase.close();
  await calls.stop();
  await api.close();
});

const client = (): ApiClient => ({
  request: (query, variables) => api.ask(query, variables),
  async *subscribe<T>(query: string, variables: Record<string, unknown>) {
    for await (const { data } of await api.subscribe(query, variables)) yield data as T;
  },
  close: async () => {},
});

it('goes all the way, and says so where the model knows nothing', async () => {
  const said = vi.spyOn(process.stdout, 'write').mockImplementation(() => true);
  const alignment = {
    ...SMOLLM2_ALIGNMENT,
    ...{ layer: 1, nFree: 16, silentRows: 16, swapTrials: 5, alphas: [1] },
    ...{ pretrain: { steps: 2, batchSize: 16 }, posttrain: { steps: 2, batchSize: 16 } },
  };
  const [runId] = await runCountriesDemo(client(), { path: 'tiny', seed: 0, countries: 5, alignment });
  const text = said.mock.calls.map(([chunk]) => String(chunk)).join('');
  said.mockRestore();
  const RUN = /* GraphQL */ `
    query ($id: ID!) {
      run(id: $id) {
        status
        ... on AlignmentRun { model { architecture } settings { layer positions knownOnly } chosenAlpha }
      }
    }
  `;
  const { run } = (await api.ask(RUN, { id: runId })) as Data;
  expect(run).toEqual({
    ...{ status: 'SUCCEEDED', model: { architecture: 'llama' }, chosenAlpha: null },
    settings: { layer: 1, positions: 'ANSWER', knownOnly: true },
  });
  for (const part of [
    'tiny, as it is: llama',
    'ontology countries: capital, language, continent, demonym, neighbour',
    'slots succeeded in',
    'capital → language: it knows both of none of the first 10 countries',
    'There was no swap to try',
  ])
    expect(text).toContain(part);
});
