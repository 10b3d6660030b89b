/**
 * Measures what the product claims, through its own API, and writes docs/results.md, part by part, and its first page.
 * `npm run results -- [--only PART] [--seeds 0,1,2] [--again] [--url URL] [--render] [--trial]`; without a URL it starts a
 * server and ends it. What is kept of an earlier run is not measured again unless `--again` says so; `--seeds` restricts
 * the seeds, `--render` writes the report of what was measured before, and `--trial` tries it all in minutes: its figures
 * mean nothing and go to `.data/results-trial`.
 */
import { cpus, loadavg, totalmem } from 'node:os';
import { parseArgs } from 'node:util';
import { type ApiClient, createApiClient } from '../src/demo/client.ts';
import { ENGINE } from '../src/demo/operations.ts';
import { startOwnServer } from '../src/demo/server.ts';
import { renderFront } from './results/front.ts';
import { type GrokkingStudy, renderGrokking, studyGrokking } from './results/grokking.ts';
import { type Layers, studyDepth, studyLayers } from './results/layers.ts';
import { type Circumstances, openParts, PARTS, type Part } from './results/parts.ts';
import {
  PEOPLE_PRESETS,
  type PeopleStudy,
  renderPeople,
  studyPeople,
  trainOnPeople,
} from './results/people.ts';
import { renderOneHop } from './results/report.ts';
import { type Model, SEEDS, type SeedStudy, studySeed } from './results/study.ts';
import { type RecipeName, studyTwoHops, type TwoHopStudy } from './results/twoHop.ts';
import { renderTwoHop } from './results/twoHopReport.ts';

/** A study that is measured and kept by itself. */
interface Unit {
  name: string;
  seed: number;
  measure(api: ApiClient): Promise<{ study: unknown; layers?: Layers | null }>;
}

const { values: options } = parseArgs({
  options: {
    only: { type: 'string' },
    seeds: { type: 'string' },
    again: { type: 'boolean', default: false },
    url: { type: 'string' },
    render: { type: 'boolean', default: false },
    trial: { type: 'boolean', default: false },
  },
});
if (options.only !== undefined && !PARTS.includes(options.only as Part))
  throw new Error(`--only takes ${PARTS.join(', ')}; got "${options.only}"`);
const { trial } = options;
const parts = PARTS.filter((part) => part === (options.only ?? part));
const kept = openParts(trial);
const seeds = options.seeds?.split(',').map(Number);

const twoHop = (recipe: RecipeName, seed: number): Unit => ({
  ...{ name: `${recipe}-${seed}`, seed },
  measure: async (api) => ({ study: await studyTwoHops(api, recipe, seed, trial) }),
});
const grok = (preset: GrokkingStudy['preset'], seed: number): Unit => ({
  ...{ name: `${preset}-${seed}`, seed },
  measure: async (api) => ({ study: await studyGrokking(api, preset, seed, trial) }),
});

const UNITS: Record<Part, readonly Unit[]> = {
  'one-hop': [
    ...SEEDS.map(
      (seed): Unit => ({
        ...{ name: `presets-${seed}`, seed },
        async measure(api) {
          const study = await studySeed(api, seed, trial);
          return { study, layers: seed === SEEDS[0] ? await studyLayers(api, study.model.id, trial) : null };
        },
      }),
    ),
    { name: 'depth', seed: SEEDS[0]!, measure: async (api) => ({ study: await studyDepth(api, trial) }) },
  ],
  people: [
    { name: 'model', seed: 0, measure: async (api) => ({ study: await trainOnPeople(api, trial) }) },
    ...PEOPLE_PRESETS.map(
      (preset): Unit => ({
        ...{ name: preset, seed: 0 },
        async measure(api) {
          const model = (await kept.find<Kept<Model>>('people', 'model'))!.study;
          return { study: await studyPeople(api, model, preset, trial) };
        },
      }),
    ),
  ],
  'two-hop': [...SEEDS.map((seed) => twoHop('RELATIONS', seed)), twoHop('PUBLISHED', 9)],
  grokking: [...SEEDS.flatMap((seed) => [grok('GROKKING', seed), grok('IMPLICIT', seed)])],
};

/** What is kept of a study: how it was measured beside what was measured. */
interface Kept<T> {
  study: T;
  /** Of the model of the first seed; null with the others. */
  layers?: Layers | null;
  circumstances: Circumstances;
}

if (!options.render) await measure();
for (const part of parts) await render(part);
await renderFirst();

async function measure(): Promise<void> {
  const server = options.url ? null : await startOwnServer();
  const api = createApiClient(new URL('/graphql', options.url ?? server!.url).href);
  let isDone = false;
  // Where a signal ends the server there is nothing left to wait for.
  void server?.exited.then(() => isDone || process.exit(1));
  try {
    const { engine } = await api.request<{ engine: { backend: string; tensorflowVersion: string | null } }>(
      ENGINE,
    );
    const machine = `${cpus().length} cores of ${cpus()[0]!.model}, ${Math.round(totalmem() / 2 ** 30)} GiB`;
    const backend = `${engine.backend} ${engine.tensorflowVersion ?? ''}`.trim();
    for (const part of parts)
      for (const { name, measure } of await openUnits(part)) {
        const started = performance.now();
        const measured = await measure(api);
        const minutes = (performance.now() - started) / 60_000;
        // After every study, so that a run that is ended early leaves what it has measured.
        const circumstances = { machine, backend, minutes, load: loadavg()[2]! };
        await kept.keep(part, name, { ...measured, circumstances });
      }
  } finally {
    isDone = true;
    await api.close();
    await server?.stop();
  }
}

/** Those asked for that are not kept yet. */
async function openUnits(part: Part): Promise<Unit[]> {
  const asked = UNITS[part].filter(({ seed }) => seeds === undefined || seeds.includes(seed));
  if (options.again) return asked;
  const known = await Promise.all(asked.map(({ name }) => kept.has(part, name)));
  return asked.filter((_, i) => !known[i]);
}

/** The studies that are kept of a part, in the order of its units. */
async function read<T>(part: Part, isStudy = (_: string) => true): Promise<Kept<T>[]> {
  const found = await Promise.all(
    UNITS[part].filter(({ name }) => isStudy(name)).map(({ name }) => kept.find<Kept<T>>(part, name)),
  );
  return found.filter((one) => one !== null);
}

function readSeeds() {
  return read<SeedStudy>('one-hop', (name) => name !== 'depth');
}

function readPeople() {
  return read<PeopleStudy>('people', (name) => name !== 'model');
}

function studies<T>(all: readonly Kept<T>[]) {
  return all.map(({ study }) => study);
}

async function render(part: Part): Promise<void> {
  if (part === 'one-hop') {
    const all = await readSeeds();
    const layers = all.find((each) => each.layers)?.layers;
    const depth = await kept.find<Kept<Layers>>(part, 'depth');
    const everything = depth ? [...all, depth] : all;
    // The report lays the first seed open; without it there is none.
    if (layers)
      await kept.write(
        part,
        renderOneHop({ seeds: studies(all), layers, depth: depth?.study ?? null }),
        total(everything),
      );
  } else if (part === 'people') {
    const all = await readPeople();
    if (all.length > 0) await kept.write(part, renderPeople(studies(all)), total(all));
  } else if (part === 'two-hop') {
    const all = await read<TwoHopStudy>(part);
    if (all.length > 0) await kept.write(part, renderTwoHop(studies(all)), total(all));
  } else {
    const all = await read<GrokkingStudy>(part);
    if (all.length > 0) await kept.write(part, await renderGrokking(studies(all), kept.images), total(all));
  }
}

async function renderFirst(): Promise<void> {
  const oneHop = await readSeeds();
  const measured = {
    seeds: studies(oneHop),
    layers: oneHop.find(({ layers }) => layers)?.layers ?? null,
    people: studies(await readPeople()),
    hops: studies(await read<TwoHopStudy>('two-hop')),
    grokking: studies(await read<GrokkingStudy>('grokking')),
  };
  await kept.writeFront(await renderFront(measured, kept.images));
}

/** All minutes together and the highest load, where the last was measured. */
function total(all: readonly { circumstances: Circumstances }[]): Circumstances {
  const minutes = all.reduce((sum, { circumstances }) => sum + circumstances.minutes, 0);
  const load = Math.max(...all.map(({ circumstances }) => circumstances.load));
  return { ...all.at(-1)!.circumstances, minutes, load };
}
