/**
 * Two APIs and three workers on one Postgres and one bucket, for as long as you say, while processes are killed, restarted
 * and cut off at random: `npx tsx bench/soak.ts [--minutes 30] [--seed 0]`. Every run is compared with the same one of a quiet
 * beginning, and deleted. Ends with 1 where a row is lost, doubled or different, or a run fails. On Linux, with pip.
 */
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Client } from 'pg';
import { type ApiClient, createApiClient } from '../src/demo/client.ts';
import { createRandom } from '../src/random.ts';
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
import { type Member, startTeam } from './soak/team.ts';

const { values: options } = parseArgs({
  options: { minutes: { type: 'string', default: '30' }, seed: { type: 'string', default: '0' } },
});
const DELETE_RUN = /* GraphQL */ `
  mutation ($id: ID!) { deleteRun(input: { id: $id, cascade: true }) { __typename ... on Error { message } } }
`;
/** Runs that are wanted at a time. */
const AT_ONCE = 3;
const tally: Faults & { runs: number; deleted: number } = {
  ...{ runs: 0, deleted: 0, lost: 0, doubled: 0, different: 0, gaps: 0, failed: 0 },
};
const done: Record<string, number> = {};
const sizes: { at: number; databaseMb: number; serversMb: number }[] = [];
const random = createRandom(Number(options.seed), 'soak');
const pick = <T>(values: readonly T[]): T => values[random.int(values.length)]!;

/** Starts runs of all kinds in turn at either API, and looks at what became of each. */
async function work(apis: { url: string; api: ApiClient }[], kinds: Kind[], end: number): Promise<void> {
  let next = 0;
  const lane = async () => {
    while (Date.now() < end) {
      const kind = kinds[next++ % kinds.length]!;
      const { url, api } = apis[next % apis.length]!;
      const id = await start(api, kind.mutation, kind.input);
      await until(api, id, ({ status }) => !['QUEUED', 'RUNNING'].includes(status));
      const found = await judge(url, api, id, kind);
      tally.runs++;
      for (const key of Object.keys(found) as (keyof Faults)[]) tally[key] += found[key];
      console.log(`${tally.runs}. ${kind.name}: ${describeFaults(found)}`);
      const reply = await persistently(() =>
        api.request<{ deleteRun: { __typename: string; message?: string } }>(DELETE_RUN, { id }),
      );
      // An attempt whose answer was cut off may have deleted it.
      if (['DeleteSuccess', 'NotFoundError'].includes(reply.deleteRun.__typename)) tally.deleted++;
      else console.log(`   not deleted: ${reply.deleteRun.message}`);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, lane));
}

/** Does something bad every few seconds until it is told to end; everything is whole again when it resolves. */
async function disturb(members: readonly Member[], end: number): Promise<void> {
  while (Date.now() < end) {
    await delay(3000 + random.next() * 7000);
    const member = pick(members);
    const deed = pick([
      'killed',
      'restarted',
      'cut off from Postgres',
      'cut off from the bucket',
      'cut off',
    ] as const);
    const name = `${member.name.split('-')[0]} ${deed}`;
    done[name] = (done[name] ?? 0) + 1;
    if (deed === 'killed' || deed === 'restarted') {
      await member.restart(deed === 'killed' ? 'SIGKILL' : 'SIGTERM');
      continue;
    }
    const cables = { 'cut off from Postgres': [member.database], 'cut off from the bucket': [member.bucket] };
    const cut = deed === 'cut off' ? [member.database, member.bucket] : cables[deed];
    for (const cable of cut) cable.cut();
    await delay(1000 + random.next() * 14_000);
    for (const cable of cut) cable.mend();
  }
}

/** Reads sizes every ten seconds until the end. */
async function watch(members: readonly Member[], connectionString: string, end: number): Promise<void> {
  const client = new Client({ connectionString });
  await client.connect();
  while (Date.now() < end) {
    const { rows } = await client.query('select pg_database_size(current_database())::float8 as bytes');
    const memory = await Promise.all(members.map((member) => member.memory()));
    const serversMb = memory.reduce((sum, bytes) => sum + bytes, 0) / 2 ** 20;
    sizes.push({ at: Date.now(), databaseMb: rows[0].bytes / 2 ** 20, serversMb });
    await delay(10_000);
  }
  await client.end();
}

function report(minutes: number): void {
  const { runs, deleted, lost, doubled, different, gaps, failed } = tally;
  const deeds = Object.entries(done).map(([name, count]) => `${name} ${count}`);
  console.log(`${minutes} minutes, ${runs} runs (${deleted} deleted); ${deeds.sort().join(', ')}`);
  console.log(
    `${lost} rows lost, ${doubled} doubled, ${different} different, ${gaps} gaps, ${failed} runs failed`,
  );
  const third = Math.max(1, Math.floor(sizes.length / 3));
  const median = (part: typeof sizes, key: 'databaseMb' | 'serversMb') =>
    part
      .map((size) => size[key])
      .sort((a, b) => a - b)
      [Math.floor(part.length / 2)]!.toFixed(0);
  for (const key of ['databaseMb', 'serversMb'] as const)
    console.log(
      `${key}: ${median(sizes.slice(0, third), key)} in the first third, ${median(sizes.slice(-third), key)} in the last`,
    );
}

const directory = await mkdtemp(join(tmpdir(), 'alignsae-soak-'));
await chmod(directory, 0o755);
const team = await startTeam(directory);
const apis = team.members
  .filter(({ url }) => url !== '')
  .map(({ url }) => ({ url, api: createApiClient(`${url}/graphql`) }));
try {
  const kinds = await prepare(apis[0]!.url, apis[0]!.api);
  const minutes = Number(options.minutes);
  const end = Date.now() + minutes * 60_000;
  await Promise.all([
    work(apis, kinds, end),
    disturb(team.members, end),
    watch(team.members, team.connectionString, end),
  ]);
  report(minutes);
} finally {
  for (const { api } of apis) await api.close();
  await team.stop();
  await rm(directory, { recursive: true, force: true });
}
if (tally.lost + tally.doubled + tally.different + tally.gaps + tally.failed > 0) process.exitCode = 1;
