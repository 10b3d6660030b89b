/**
 * Two APIs and three workers on machines of their own (network namespaces), one Postgres and one bucket, for as long as
 * you say, while processes are killed, restarted and cut off at random: `npx tsx bench/soak.ts [--minutes 30] [--seed 0]
 * [--write]`. Every run is compared with the same one of a quiet beginning, and deleted; sizes are read meanwhile. Ends
 * with 1 where a row is lost, doubled or different, or a run fails. `--write` puts its figures into docs/reliability.md.
 * On Linux, as root, with pip, iproute2 and nftables.
 */
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Client } from 'pg';
import { readConfig } from '../src/config.ts';
import { type ApiClient, createApiClient } from '../src/demo/client.ts';
import { prepareNative } from '../src/engine/native/build.ts';
import { findMoto } from '../test/helpers/s3.ts';
import {
  describeFaults,
  type Faults,
  judge,
  type Kind,
  persistently,
  prepare,
  start,
  until,
} from './kills/runs.ts';
import { keptSection, sectionOf } from './section.ts';
import { disturb, type Time } from './soak/faults.ts';
import { runApart } from './soak/network.ts';
import { describeSizes, type Sizes, watchSizes } from './soak/sizes.ts';
import { KEY, startTeam } from './soak/team.ts';

const { values: options } = parseArgs({
  options: {
    minutes: { type: 'string', default: '30' },
    seed: { type: 'string', default: '0' },
    write: { type: 'boolean', default: false },
  },
});
const minutes = Number(options.minutes);
const DOCUMENT = new URL('../docs/reliability.md', import.meta.url);
const DELETE_RUN = /* GraphQL */ `
  mutation ($id: ID!) { deleteRun(input: { id: $id, cascade: true }) { __typename ... on Error { message } } }
`;
const FINISHED = /* GraphQL */ `
  { runs(first: 200, filter: { isPart: false, status: [SUCCEEDED, FAILED, CANCELLED] }) { edges { node { id } } } }
`;
/** Runs that are wanted at a time. */
const AT_ONCE = 3;
/** A request that nobody answers, for its API is cut off, is asked again. */
const ANSWER_MS = 30_000;

type Api = { url: string; api: ApiClient };
const tally: Faults & { runs: number; twice: number; kept: number } = {
  ...{ runs: 0, twice: 0, kept: 0, lost: 0, doubled: 0, different: 0, gaps: 0, failed: 0 },
};

/** Starts runs of all kinds in turn at either API, and looks at what became of each. */
async function work(apis: readonly Api[], kinds: readonly Kind[], time: Time): Promise<void> {
  const known = new Set(await finished(apis[0]!.api));
  let next = 0;
  let starting = 0;
  const lane = async () => {
    while (Date.now() < time.end) {
      const kind = kinds[next++ % kinds.length]!;
      const { url, api } = apis[next % apis.length]!;
      starting++;
      const id = await start(api, kind.mutation, kind.input);
      starting--;
      known.add(id);
      await until(api, id, ({ status }) => !['QUEUED', 'RUNNING'].includes(status));
      const found = await judge(url, api, id, kind);
      tally.runs++;
      for (const key of Object.keys(found) as (keyof Faults)[]) tally[key] += found[key];
      const why = found.failed > 0 ? `: ${await errorOf(api, id)}` : '';
      console.log(`${tally.runs}. ${kind.name}: ${describeFaults(found)}${why}`);
      await remove(api, id);
      // One whose id is still on its way is not known yet.
      if (starting === 0) await removeTwins(api, known);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, lane));
}

/** Where the answer to a start was cut off, it was asked for again, and there are two. */
async function removeTwins(api: ApiClient, known: Set<string>): Promise<void> {
  for (const id of await finished(api)) {
    if (known.has(id)) continue;
    known.add(id);
    tally.twice++;
    await remove(api, id);
  }
}

type Finished = { runs: { edges: { node: { id: string } }[] } };

async function finished(api: ApiClient): Promise<string[]> {
  const { runs } = await persistently(() => api.request<Finished>(FINISHED));
  return runs.edges.map(({ node }) => node.id);
}

async function errorOf(api: ApiClient, id: string): Promise<string | undefined> {
  const query = 'query ($id: ID!) { run(id: $id) { error { message } } }';
  type Reply = { run: { error: { message: string } | null } };
  return (await persistently(() => api.request<Reply>(query, { id }))).run.error?.message;
}

async function remove(api: ApiClient, id: string): Promise<void> {
  type Reply = { deleteRun: { __typename: string; message?: string } };
  const { deleteRun } = await persistently(() => api.request<Reply>(DELETE_RUN, { id }));
  // An attempt whose answer was cut off may have deleted it.
  if (['DeleteSuccess', 'NotFoundError'].includes(deleteRun.__typename)) return;
  tally.kept++;
  console.log(`   not deleted: ${deleteRun.message}`);
}

/** Every request carries the key, and is given up when nobody answers. */
function sendKey(): void {
  const ask = globalThis.fetch;
  globalThis.fetch = (input, init) =>
    ask(input, {
      ...init,
      headers: { ...(init?.headers as object), authorization: `Bearer ${KEY}` },
      signal: AbortSignal.timeout(ANSWER_MS),
    });
}

function describe(done: Map<string, number>, sizes: readonly Sizes[], loads: readonly number[]): string {
  const { runs, twice, kept, lost, doubled, different, gaps, failed } = tally;
  const deeds = [...done].map(([name, count]) => `${name} ${count}`).sort();
  const [least, most] = [Math.min(...loads), Math.max(...loads)].map((load) => load.toFixed(0));
  const twins = twice > 0 ? `, ${twice} started twice, for the answer to a request was cut off` : '';
  const left = kept > 0 ? `, ${kept} not deleted` : '';
  return [
    `${minutes} minutes at a load of ${least}–${most}: ${runs} runs of seven kinds were finished, compared and deleted${twins}${left}.`,
    `What was done, in times: ${deeds.join(', ')}.`,
    `${lost} rows lost, ${doubled} doubled, ${different} different, ${gaps} gaps in what was told, ${failed} runs failed.`,
    '',
    '| medians of thirds of the time | first | second | last | most |',
    '| --- | --- | --- | --- | --- |',
    ...describeSizes(sizes),
  ].join('\n');
}

async function soak(python: string): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'alignsae-soak-'));
  await chmod(directory, 0o755);
  const team = await startTeam(directory, python);
  const apis = team.members
    .filter(({ url }) => url !== '')
    .map(({ url }) => ({ url, api: createApiClient(`${url}/graphql`) }));
  const client = new Client({ connectionString: team.connectionString });
  await client.connect();
  try {
    sendKey();
    const kinds = await prepare(apis[0]!.url, apis[0]!.api);
    const time = { end: Date.now() + minutes * 60_000 };
    const working = work(apis, kinds, time).catch((error) => {
      time.end = 0;
      return error as Error;
    });
    const [done, { sizes, loads }] = await Promise.all([
      disturb({ ...team, seed: Number(options.seed), time }),
      watchSizes({ ...team, client, directory }, time),
    ]);
    const error = await working;
    if (error) throw error;
    const text = describe(done, sizes, loads);
    console.log(text);
    if (options.write) await write(text);
  } finally {
    for (const { api } of apis) await api.close();
    await client.end();
    await team.stop();
    await rm(directory, { recursive: true, force: true });
  }
  if (tally.lost + tally.doubled + tally.different + tally.gaps + tally.failed > 0) process.exitCode = 1;
}

async function write(text: string): Promise<void> {
  const document = await readFile(DOCUMENT, 'utf8');
  await writeFile(DOCUMENT, document.replace(keptSection(document, 'soak'), sectionOf('soak', text)));
}

const python = await findMoto();
if (!python) throw new Error('there is no S3 server: python3 with venv and pip is needed');
const { cacheDir, tensorflowDir } = readConfig();
// Fetched now, for nothing can be fetched from within.
await prepareNative({ cacheDir, tensorflowDir, environment: process.env, log: console.log });
if (!runApart()) await soak(python);
