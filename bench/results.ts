/**
 * Measures what the product claims, through its own API, and writes docs/results.md, part by part, and its first page.
 * `npm run results -- [--only PART] [--seeds 0,1,2] [--again] [--url URL] [--render] [--trial]`; without a URL it starts a
 * server and ends it. What is kept of an earlier run is not measured again unless `--again` says so; `--seeds` restricts
 * the seeds, `--render` writes the report of what was measured before, and `--trial` tries it all in minutes: its figures
 * mean nothing and go to `.data/results-trial`. The server of a URL must take bodies of 16 MB (MAX_BODY_SIZE), and for
 * `smollm2` it must have the model's file in its IMPORT_DIR.
 */
import { cpus, loadavg, totalmem } from 'node:os';
import { dirname } from 'node:path';
import { parseArgs } from 'node:util';
import type { Config } from '../src/config.ts';
import { createApiClient } from '../src/demo/client.ts';
import { ENGINE } from '../src/demo/operations.ts';
import { startOwnServer } from '../src/demo/server.ts';
import { fetchSmolLm2 } from '../src/demo/smollm2.ts';
import { renderFront } from './results/front.ts';
import { type GrokkingStudy, renderGrokking } from './results/grokking.ts';
import type { Layers } from './results/layers.ts';
import { type Circumstances, openParts, PARTS, type Part } from './results/parts.ts';
import type { PeopleStudy } from './results/people.ts';
import { renderTrained } from './results/peopleReport.ts';
import { renderOneHop } from './results/report.ts';
import { renderSmolLm2 } from './results/smollm2.ts';
import type { SeedStudy } from './results/study.ts';
import type { TwoHopStudy } from './results/twoHop.ts';
import { renderTwoHop } from './results/twoHopReport.ts';
import { type Kept, type Unit, unitsOf } from './results/units.ts';

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
const units = unitsOf(kept, trial);

if (!options.render) await measure();
for (const part of parts) await render(part);
await renderFirst();

async function measure(): Promise<void> {
  const server = options.url ? null : await startOwnServer(prepare);
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

/** The authors' people fit into a request, and SmolLM2 is where the server may import it from. */
async function prepare({ cacheDir }: Config): Promise<Record<string, string>> {
  const model = parts.includes('smollm2') && (await fetchSmolLm2(cacheDir, process.env, console.log));
  return { MAX_BODY_SIZE: '16mb', ...(model && { IMPORT_DIR: dirname(model) }) };
}

/** Those asked for that are not kept yet. */
async function openUnits(part: Part): Promise<Unit[]> {
  const asked = units[part].filter(({ seed }) => seeds === undefined || seeds.includes(seed));
  if (options.again) return asked;
  const known = await Promise.all(asked.map(({ name }) => kept.has(part, name)));
  return asked.filter((_, i) => !known[i]);
}

/** The studies that are kept of a part, in the order of its units. */
async function read<T>(part: Part, isStudy = (_: string) => true): Promise<Kept<T>[]> {
  const found = await Promise.all(
    units[part].filter(({ name }) => isStudy(name)).map(({ name }) => kept.find<Kept<T>>(part, name)),
  );
  return found.filter((one) => one !== null);
}

function readSeeds() {
  return read<SeedStudy>('one-hop', (name) => name !== 'depth');
}

/** Not the model. */
function readPeople(part: 'people' | 'smollm2') {
  return read<PeopleStudy>(part, (name) => name !== 'model');
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
    const all = await readPeople(part);
    if (all.length > 0) await kept.write(part, renderTrained(studies(all)), await withModel(part, all));
  } else if (part === 'smollm2') {
    const all = await readPeople(part);
    if (all.length > 0) await kept.write(part, renderSmolLm2(studies(all)), await withModel(part, all));
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
    people: studies(await readPeople('people')),
    smollm2: studies(await readPeople('smollm2')),
    hops: studies(await read<TwoHopStudy>('two-hop')),
    grokking: studies(await read<GrokkingStudy>('grokking')),
  };
  await kept.writeFront(await renderFront(measured, kept.images));
}

/** The time of training the model that was studied counts too. */
async function withModel(part: Part, all: readonly Kept<PeopleStudy>[]): Promise<Circumstances> {
  const model = await kept.find<Kept<unknown>>(part, 'model');
  return total(model ? [model, ...all] : all);
}

/** All minutes together and the highest load, where the last was measured. */
function total(all: readonly { circumstances: Circumstances }[]): Circumstances {
  const minutes = all.reduce((sum, { circumstances }) => sum + circumstances.minutes, 0);
  const load = Math.max(...all.map(({ circumstances }) => circumstances.load));
  return { ...all.at(-1)!.circumstances, minutes, load };
}
