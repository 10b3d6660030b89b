/** Machines as network namespaces around a bridge, and what no longer passes between them. Linux, root, iproute2, nftables. */
import { execFileSync, spawnSync } from 'node:child_process';

/** Where Postgres, the bucket and this process are. */
export const HUB = '10.213.0.1';
export const SUBNET = '10.213.0.0/24';
const INSIDE = 'SOAK_INSIDE';

/** What is dropped goes without a word, as when a cable is pulled; the sets say whose. */
const RULES = `table inet soak {
  set ports { type ipv4_addr . inet_service; }
  set machines { type ipv4_addr; }
  chain arriving { type filter hook input priority 0;
    ip saddr @machines drop; ip saddr . tcp dport @ports drop; }
  chain leaving { type filter hook output priority 0;
    ip daddr @machines drop; ip daddr . tcp sport @ports drop; }
}`;

/** Runs this command again with a network of its own, of which nothing is left afterwards; false within it. */
export function runApart(): boolean {
  if (process.env[INSIDE]) return false;
  const command = [process.execPath, ...process.execArgv, ...process.argv.slice(1)];
  const { status, error } = spawnSync('unshare', ['--net', '--mount', ...command], {
    stdio: 'inherit',
    env: { ...process.env, [INSIDE]: '1' },
  });
  if (error) throw error;
  process.exitCode = status ?? 1;
  return true;
}

export interface Machine {
  address: string;
  /** The command that runs another one there. */
  within: readonly string[];
  /** No byte passes between this machine and those ports of the hub, or anything at all. */
  cut(ports: readonly number[] | 'all'): void;
  mend(): void;
}

export interface Network {
  addMachine(name: string): Machine;
  remove(): void;
}

export function layNetwork(): Network {
  for (const line of [
    'link set lo up',
    'link add hub type bridge',
    `addr add ${HUB}/24 dev hub`,
    'link set hub up',
  ])
    ip(line);
  execFileSync('nft', ['-f', '-'], { input: RULES });
  const names: string[] = [];
  return {
    addMachine(name) {
      const space = `soak-${process.pid}-${name}`;
      names.push(space);
      return addMachine(space, names.length + 1);
    },
    remove() {
      for (const name of names) ip(`netns del ${name}`);
    },
  };
}

function addMachine(space: string, number: number): Machine {
  const address = HUB.replace(/1$/, String(number));
  const port = `to${number}`;
  for (const line of [
    `netns add ${space}`,
    `link add ${port} type veth peer name eth0 netns ${space}`,
    `link set ${port} master hub up`,
    `-n ${space} addr add ${address}/24 dev eth0`,
    `-n ${space} link set eth0 up`,
    `-n ${space} link set lo up`,
  ])
    ip(line);
  return {
    address,
    within: ['ip', 'netns', 'exec', space],
    cut(ports) {
      if (ports === 'all') nft(`add element inet soak machines { ${address} }`);
      else for (const each of ports) nft(`add element inet soak ports { ${address} . ${each} }`);
    },
    mend() {
      nft('flush set inet soak machines');
      nft('flush set inet soak ports');
    },
  };
}

const ip = (line: string) => execFileSync('ip', line.split(' '));
const nft = (line: string) => execFileSync('nft', [line]);
