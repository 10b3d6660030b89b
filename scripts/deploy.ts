/**
 * `npx tsx scripts/deploy.ts`: follows docs/deploy.md to the letter on an empty machine, and says how long that takes:
 * the commands under "A machine with Node", as they are printed there. The machine is a Debian 12 made by debootstrap,
 * with Node from npm at /usr/bin/node, in a chroot with processes of its own; `scripts/deploy/systemctl` stands in for
 * systemd. As root on Debian, with debootstrap; ports 80, 4001, 4002 and 5432 must be free. The two tarballs must lie in the
 * repository: `npm run pack && npm run prebuilt`.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { installNode } from './installNode.ts';
import { ROOT } from './page/documents.ts';

const NODE_VERSION = '22.21.1';
const CERTIFICATES = '/etc/ssl/certs/ca-certificates.crt';
/** Where the machine has what this one trusts. */
const TRUSTED = '/etc/trusted.crt';
const WORKERS = '{ engine { workers { backend fallbackReason } } }';

const directory = mkdtempSync(join(tmpdir(), 'alignsae-machine-'));
const root = join(directory, 'root');
const run = (command: string, args: readonly string[], cwd = ROOT) =>
  execFileSync(command, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] }).trim();

/** An empty Debian with Node. */
function makeMachine(): void {
  run('debootstrap', ['--variant=minbase', 'bookworm', root]);
  const at = (path: string) => join(root, 'usr', path);
  installNode(at(''), NODE_VERSION, directory, run);
  run('ln', ['-s', '../lib/node_modules/npm/bin/npm-cli.js', at('bin/npm')]);
  copyFileSync(join(ROOT, 'scripts/deploy/systemctl'), at('bin/systemctl'));
  if (existsSync(CERTIFICATES)) copyFileSync(CERTIFICATES, join(root, TRUSTED));
  for (const name of ['alignsae-server-0.2.0.tgz', 'alignsae-native-linux-x64-0.2.0.tgz'])
    cpSync(join(ROOT, name), join(root, 'root', name));
}

/** The commands as the page prints them. */
function readSteps(): string {
  const page = readFileSync(join(ROOT, 'docs/deploy.md'), 'utf8');
  const steps = /## A machine with Node[\s\S]*?```sh\n([\s\S]*?)```/.exec(page)?.[1];
  if (!steps) throw new Error('docs/deploy.md: there are no commands under "A machine with Node"');
  return steps;
}

/** Runs them; what they start lives until the process ends. */
function follow(steps: string): ChildProcess {
  writeFileSync(join(root, 'root/steps.sh'), `set -eux\n${steps}`);
  const within = `mount -t proc proc ${root}/proc && mount -t tmpfs tmpfs ${root}/dev/shm
    ln -sfn /proc/self/fd ${root}/dev/fd
    exec chroot ${root} sh -c 'cd /root && sh steps.sh && echo FOLLOWED && exec sleep infinity'`;
  return spawn('unshare', ['--mount', '--pid', '--fork', '--kill-child', 'sh', '-ec', within], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: {
      PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      HOME: '/root',
      DEBIAN_FRONTEND: 'noninteractive',
      LC_ALL: 'C.UTF-8',
      ...{ NODE_EXTRA_CA_CERTS: TRUSTED, npm_config_cafile: TRUSTED, PIP_CERT: TRUSTED },
    },
  });
}

/** Resolves when both APIs answer through the proxy and both workers are known to them. */
async function untilWhole(): Promise<string> {
  const environment = readFileSync(join(root, 'etc/alignsae/environment'), 'utf8');
  const key = /^ADMIN_API_KEY=(.*)$/m.exec(environment)![1];
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${key}` };
  for (;;)
    try {
      const ready = await Promise.all(
        [80, 4001, 4002].map((port) => fetch(`http://127.0.0.1:${port}/ready`)),
      );
      const body = JSON.stringify({ query: WORKERS });
      const reply = await fetch('http://127.0.0.1/graphql', { method: 'POST', headers, body });
      const { data } = (await reply.json()) as { data: { engine: { workers: object[] } } };
      if (ready.every(({ ok }) => ok) && data.engine.workers.length === 2) return JSON.stringify(data);
      await delay(200);
    } catch {
      await delay(200);
    }
}

const lapse = (from: number) => `${((performance.now() - from) / 1000).toFixed(0)} s`;

try {
  let begun = performance.now();
  makeMachine();
  console.log(`an empty machine with Node: ${lapse(begun)} (not part of it)`);
  begun = performance.now();
  const machine = follow(readSteps());
  const gone = once(machine, 'exit');
  machine.stdout!.on('data', (text) => process.stdout.write(text));
  const failed = gone.then(([code]) => Promise.reject(new Error(`a step ended with ${code}`)));
  const followed = new Promise<void>((resolve) =>
    machine.stdout!.on('data', (text) => String(text).includes('FOLLOWED') && resolve()),
  );
  await Promise.race([followed, failed]);
  console.log(`the commands: ${lapse(begun)}`);
  const found = await Promise.race([untilWhole(), failed]);
  console.log(
    `two APIs and two workers behind the proxy after ${lapse(begun)}, at a load of ${loadavg()[1]!.toFixed(0)}`,
  );
  console.log(found);
  failed.catch(() => undefined);
  machine.kill('SIGKILL');
  await gone;
} finally {
  rmSync(directory, { recursive: true, force: true });
}
