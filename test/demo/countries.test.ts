/** The demo on a real language model, with a tiny one in its place: every operation, on the real engine. */
import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import type { ApiClient } from '../../src/demo/client.ts';
import { runCountriesDemo, SMOLLM2_ALIGNMENT } from '../../src/demo/countries.ts';
import type { Api, Data } from '../schema/api.ts';
import { openWorkedApi } from '../schema/workedApi.ts';

vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 });

const LLAMA = fileURLToPath(new URL('../fixtures/architectures/llama', import.meta.url));

let api: Api;
beforeAll(async () => {
  api = await openWorkedApi();
  // Positions by rotation are not counted, so that the prefix fits.
  await cp(LLAMA, join(api.importDir, 'tiny'), { recursive: true });
  const config = join(api.importDir, 'tiny/config.json');
  const said = JSON.parse(await readFile(config, 'utf8'));
  await writeFile(config, JSON.stringify({ ...said, max_position_embeddings: 1024 }));
});
afterAll(() => api.close());

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
