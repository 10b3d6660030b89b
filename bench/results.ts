/**
 * Measures what the product claims, through its own API, and writes docs/results.md.
 * `npm run results -- [--seeds 0,1,2,3,4] [--url URL]`; without a URL it starts a server and ends it.
 */
import { writeFile } from 'node:fs/promises';
import { cpus, totalmem } from 'node:os';
import { parseArgs } from 'node:util';
import { createApiClient } from '../src/demo/client.ts';
import { ENGINE } from '../src/demo/operations.ts';
import { startOwnServer } from '../src/demo/server.ts';
import { renderReport } from './results/report.ts';
import { type Layers, type SeedStudy, studyLayers, studySeed } from './results/study.ts';

const { values: options } = parseArgs({
  options: { seeds: { type: 'string', default: '0,1,2,3,4' }, url: { type: 'string' } },
});
const started = performance.now();
const server = options.url ? null : await startOwnServer();
const api = createApiClient(new URL('/graphql', options.url ?? server!.url).href);
try {
  const { engine } = await api.request<{ engine: { backend: string; tensorflowVersion: string | null } }>(
    ENGINE,
  );
  const seeds: SeedStudy[] = [];
  let layers: Layers | null = null;
  for (const seed of options.seeds.split(',').map(Number)) {
    seeds.push(await studySeed(api, seed));
    layers ??= await studyLayers(api, seeds[0]!.model.id);
    const report = renderReport({
      machine: `${cpus().length} cores of ${cpus()[0]!.model}, ${Math.round(totalmem() / 2 ** 30)} GiB`,
      backend: `${engine.backend} ${engine.tensorflowVersion ?? ''}`.trim(),
      minutes: (performance.now() - started) / 60_000,
      seeds,
      layers,
    });
    // After every seed, so that a run that is ended early leaves what it has measured.
    await writeFile(new URL('../docs/results.md', import.meta.url), report);
  }
} finally {
  await api.close();
  await server?.stop();
}
