/** What is done to machines at random: each deed to each of them before any a second time. */
import { setTimeout as delay } from 'node:timers/promises';
import { createRandom } from '../../src/random.ts';
import type { Member } from './team.ts';

const DEEDS = ['killed', 'restarted', 'cut off from Postgres', 'cut off from the bucket', 'cut off'] as const;
type Deed = (typeof DEEDS)[number];

/** When it ends; moved forward where something goes wrong that nobody meant to. */
export interface Time {
  end: number;
}

export interface DisturbOptions {
  members: readonly Member[];
  /** Of the hub. */
  ports: { postgres: number; bucket: number };
  seed: number;
  time: Time;
}

/** Does something bad every few seconds until the end; all is whole again when it resolves. Says how often it did what. */
export async function disturb({ members, ports, seed, time }: DisturbOptions): Promise<Map<string, number>> {
  const random = createRandom(seed, 'soak');
  const cases = members.flatMap((member) => DEEDS.map((deed) => ({ member, deed })));
  const done = new Map<string, number>();
  let bag: typeof cases = [];
  while (Date.now() < time.end) {
    await delay(2000 + random.next() * 6000);
    if (bag.length === 0) bag = [...cases];
    const [{ member, deed }] = bag.splice(random.int(bag.length), 1) as [(typeof cases)[number]];
    console.log(`   ${member.name} is ${deed}`);
    const name = `${member.name.split('-')[0]} ${deed}`;
    done.set(name, (done.get(name) ?? 0) + 1);
    if (deed === 'killed') await member.restart('SIGKILL');
    else if (deed === 'restarted') await member.restart('SIGTERM');
    else await cutOff(member, portsOf(deed, ports), 1000 + random.next() * 14_000);
  }
  return done;
}

function portsOf(deed: Deed, { postgres, bucket }: DisturbOptions['ports']): readonly number[] | 'all' {
  if (deed === 'cut off') return 'all';
  return [deed === 'cut off from Postgres' ? postgres : bucket];
}

async function cutOff({ machine }: Member, ports: readonly number[] | 'all', ms: number): Promise<void> {
  machine.cut(ports);
  await delay(ms);
  machine.mend();
}
