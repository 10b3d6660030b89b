/**
 * Kills engine, worker, API and Postgres with SIGKILL at random instants of runs of every kind, and compares what comes of
 * them with runs that nobody killed: `npx tsx bench/kills.ts [--kills 200] [--seed 0] [--minutes 60]`. Ends with code 1 where a
 * row is lost, doubled or different. On Linux; the API and the worker are processes of their own.
 */
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { type ApiClient, createApiClient } from '../src/demo/client.ts';
import { createRandom } from '../src/random.ts';
import { startHousehold, VICTIMS, type Victim } from './kills/processes.ts';
import {
  describeFaults,
  type Faults,
  judge,
  prepare,
  type State,
  start,
  stateOf,
  until,
} from './kills/runs.ts';

const { values: options } = parseArgs({
  options: {
    kills: { type: 'string', default: '200' },
    seed: { type: 'string', default: '0' },
    minutes: { type: 'string', default: '60' },
  },
});

const tally = { kills: 0, lost: 0, doubled: 0, different: 0, gaps: 0, failed: 0 };
const recoveries: Record<Victim, number[]> = { engine: [], worker: [], api: [], postgres: [] };

async function main(url: string, api: ApiClient, kill: (victim: Victim) => Promise<boolean>): Promise<void> {
  const kinds = await prepare(url, api);
  const random = createRandom(Number(options.seed), 'kills');
  const end = Date.now() + Number(options.minutes) * 60_000;
  for (let i = 0; i < Number(options.kills) && Date.now() < end; i++) {
    const kind = kinds[i % kinds.length]!;
    const victim = VICTIMS[random.int(VICTIMS.length)]!;
    const id = await start(api, kind.mutation, kind.input);
    await until(api, id, ({ status }) => status !== 'QUEUED');
    await delay(random.next() * 0.9 * kind.ms);
    const before = await stateOf(api, id);
    const killedAt = performance.now();
    if (!(await kill(victim))) continue;
    tally.kills++;
    const moved = (now: State) => JSON.stringify(now) !== JSON.stringify(before);
    if (before.status === 'RUNNING') {
      await until(api, id, moved);
      recoveries[victim].push(performance.now() - killedAt);
    }
    await until(api, id, ({ status }) => !['QUEUED', 'RUNNING'].includes(status));
    const found = await judge(url, api, id, kind);
    for (const key of Object.keys(found) as (keyof Faults)[]) tally[key] += found[key];
    console.log(`${tally.kills}. ${kind.name}, ${victim} killed: ${describeFaults(found)}`);
  }
}

function report(): void {
  const { kills, lost, doubled, different, gaps, failed } = tally;
  console.log(
    `${kills} kills: ${lost} rows lost, ${doubled} doubled, ${different} different, ${gaps} gaps in what was told, ${failed} runs failed`,
  );
  for (const [victim, taken] of Object.entries(recoveries)) {
    taken.sort((a, b) => a - b);
    const at = (share: number) =>
      ((taken[Math.floor(share * (taken.length - 1))] ?? Number.NaN) / 1000).toFixed(1);
    console.log(
      `${victim}: ${taken.length} seen to go on, after ${at(0.5)} s in the median, ${at(1)} s at most`,
    );
  }
}

const directory = await mkdtemp(join(tmpdir(), 'alignsae-kills-'));
await chmod(directory, 0o755);
const household = await startHousehold(directory);
const api = createApiClient(`${household.url}/graphql`);
try {
  await main(household.url, api, household.kill);
  report();
} finally {
  await api.close();
  await household.stop();
  await rm(directory, { recursive: true, force: true });
}
if (tally.lost + tally.doubled + tally.different + tally.gaps + tally.failed > 0) process.exitCode = 1;
