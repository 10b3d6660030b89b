/**
 * Measures what the product claims, through its own API, and writes docs/results.md, part by part.
 * `npm run results -- [--only one-hop|two-hop] [--seeds 0,1,2] [--url URL] [--render] [--trial]`; without a URL it starts
 * a server and ends it. `--seeds` restricts the seeds, `--render` writes the report of what was measured before, and
 * `--trial` tries the two-hop part in a minute: its figures mean nothing and go to `.data/results-trial`.
 */
import { cpus, totalmem } from 'node:os';
import { parseArgs } from 'node:util';
import { type ApiClient, createApiClient } from '../src/demo/client.ts';
import { ENGINE } from '../src/demo/operations.ts';
import { startOwnServer } from '../src/demo/server.ts';
import { type Circumstances, openParts, PARTS, type Part } from './results/parts.ts';
import { renderOneHop } from './results/report.ts';
import { type Layers, type SeedStudy, studyLayers, studySeed } from './results/study.ts';
import { type RecipeName, studyTwoHops, type TwoHopStudy } from './results/twoHop.ts';
import { renderTwoHop } from './results/twoHopReport.ts';

const ONE_HOP_SEEDS = [0, 1, 2, 3, 4];
const TWO_HOP_STUDIES: readonly (readonly [RecipeName, number])[] = [
  ['GROKKING', 0],
  ['GROKKING', 1],
  ['GROKKING', 2],
  ['PUBLISHED', 0],
];

const { values: options } = parseArgs({
  options: {
    only: { type: 'string' },
    seeds: { type: 'string' },
    url: { type: 'string' },
    render: { type: 'boolean', default: false },
    trial: { type: 'boolean', default: false },
  },
});
if (options.only !== undefined && !PARTS.includes(options.only as Part))
  throw new Error(`--only takes ${PARTS.join(' or ')}, got "${options.only}"`);
const only = options.trial ? 'two-hop' : options.only;
const parts = PARTS.filter((part) => part === (only ?? part));
const kept = openParts(options.trial);
const seeds = options.seeds?.split(',').map(Number);
const isAsked = (seed: number) => seeds === undefined || seeds.includes(seed);

/** What is kept of a study: how it was measured beside what was measured. */
interface Kept<T> {
  study: T;
  /** Of the model of the first seed; null with the others. */
  layers?: Layers | null;
  circumstances: Circumstances;
}

if (options.render) for (const part of parts) await render(part);
else await measure();

async function measure(): Promise<void> {
  const server = options.url ? null : await startOwnServer();
  const api = createApiClient(new URL('/graphql', options.url ?? server!.url).href);
  try {
    const { engine } = await api.request<{ engine: { backend: string; tensorflowVersion: string | null } }>(
      ENGINE,
    );
    const machine = `${cpus().length} cores of ${cpus()[0]!.model}, ${Math.round(totalmem() / 2 ** 30)} GiB`;
    const backend = `${engine.backend} ${engine.tensorflowVersion ?? ''}`.trim();
    for (const part of parts) {
      const started = performance.now();
      const studies = part === 'one-hop' ? measureOneHop(api) : measureTwoHop(api);
      // After every study, so that a run that is ended early leaves what it has measured.
      for await (const { name, ...measured } of studies) {
        const minutes = (performance.now() - started) / 60_000;
        await kept.keep(part, name, { ...measured, circumstances: { machine, backend, minutes } });
        await render(part);
      }
    }
  } finally {
    await api.close();
    await server?.stop();
  }
}

async function* measureOneHop(api: ApiClient) {
  for (const seed of ONE_HOP_SEEDS.filter(isAsked)) {
    const study = await studySeed(api, seed);
    yield { name: `seed-${seed}`, study, layers: seed === 0 ? await studyLayers(api, study.model.id) : null };
  }
}

async function* measureTwoHop(api: ApiClient) {
  for (const [recipe, seed] of TWO_HOP_STUDIES.filter(([, seed]) => isAsked(seed)))
    yield { name: `${recipe}-${seed}`, study: await studyTwoHops(api, recipe, seed, options.trial) };
}

async function render(part: Part): Promise<void> {
  if (part === 'two-hop') {
    const all = await kept.read<Kept<TwoHopStudy>>(part);
    if (all.length > 0) await kept.write(part, renderTwoHop(all.map(({ study }) => study)), longest(all));
    return;
  }
  const all = await kept.read<Kept<SeedStudy>>(part);
  const layers = all.find((each) => each.layers)?.layers;
  // The report lays seed 0 open; without it there is none.
  if (layers)
    await kept.write(part, renderOneHop({ seeds: all.map(({ study }) => study), layers }), longest(all));
}

/** Those of the run that did most. */
function longest(all: readonly { circumstances: Circumstances }[]): Circumstances {
  return all.map(({ circumstances }) => circumstances).sort((a, b) => b.minutes - a.minutes)[0]!;
}
