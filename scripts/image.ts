/**
 * `npx tsx scripts/image.ts [directory]`: builds deploy/Dockerfile without Docker, says how large the image is and starts
 * it. Buildah runs the file's own steps in a chroot; the base that they ask for is made of Debian (debootstrap) and of
 * Node from npm, which is what it is. As root on Debian 12, with buildah, debootstrap and iproute2. Into the directory go
 * 3 GB, removed at the end where none is named.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { installNode } from './installNode.ts';
import { ROOT } from './page/documents.ts';

const LIMIT = 1.6e9;
const DOCKERFILE = join(ROOT, 'deploy/Dockerfile');

const base = /^FROM (node:([\d.]+)-bookworm-slim)$/m.exec(readFileSync(DOCKERFILE, 'utf8'));
if (!base) throw new Error(`${DOCKERFILE}: its base is not node:VERSION-bookworm-slim`);
const [, baseName, nodeVersion] = base as unknown as [string, string, string];
const given = process.argv[2];
const directory = given ? resolve(given) : mkdtempSync(join(tmpdir(), 'alignsae-image-'));

function run(command: string, args: readonly string[], cwd = ROOT): string {
  return execFileSync(command, args, {
    cwd,
    encoding: 'utf8',
    env: { ...process.env, CONTAINERS_STORAGE_CONF: join(directory, 'storage.conf') },
    stdio: ['ignore', 'pipe', 'inherit'],
    maxBuffer: 2 ** 28,
  }).trim();
}

/** `node:…-bookworm-slim` under its own name in buildah's storage. */
function makeBase(): void {
  const root = join(directory, 'base');
  run('debootstrap', ['--variant=minbase', '--include=ca-certificates', 'bookworm', root]);
  installNode(join(root, 'usr/local'), nodeVersion, directory, run);
  const slim = `groupadd --gid 1000 node && useradd --uid 1000 --gid node --shell /bin/bash --create-home node
    for name in npm npx; do ln -s ../lib/node_modules/npm/bin/$name-cli.js /usr/local/bin/$name; done
    rm -rf /usr/share/doc/* /usr/share/man/* /usr/share/info/* /usr/share/locale/* /var/lib/apt/lists/* /var/cache/apt/*`;
  run('chroot', [root, 'sh', '-ec', slim]);
  const container = run('buildah', ['from', 'scratch']);
  run('buildah', ['add', '--quiet', container, root, '/']);
  run('buildah', [
    'config',
    '--env',
    'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    container,
  ]);
  run('buildah', ['commit', '--quiet', '--rm', container, `docker.io/library/${baseName}`]);
  rmSync(root, { recursive: true });
}

function build(): void {
  const settings = [run('npm', ['config', 'get', 'globalconfig']), '/usr/local/etc/npmrc'] as const;
  // What this machine trusts and how it asks registries; nothing of it stays in the image.
  const shared = [['/etc/ssl/certs', '/etc/ssl/certs'], ['/etc/pip.conf', '/etc/pip.conf'], settings]
    .filter(([from]) => existsSync(from!))
    .flatMap(([from, to]) => ['--volume', `${from}:${to}:ro`]);
  const options = ['--isolation', 'chroot', '--pull-never', '--format', 'docker', '--quiet'];
  run('buildah', ['bud', ...options, ...shared, '--file', DOCKERFILE, '--tag', 'alignsae-server', ROOT]);
}

/** Says how large it is, and what its parts are. */
function measure(container: string): void {
  const root = run('buildah', ['mount', container]);
  const bytesOf = (path: string) =>
    Number(run('du', ['--summarize', '--block-size=1', join(root, path)]).split('\t')[0]);
  const whole = bytesOf('');
  const parts = { server: bytesOf('opt/alignsae/app'), engine: bytesOf('opt/alignsae/cache') };
  const gb = (bytes: number) => `${(bytes / 1e9).toFixed(3)} GB`;
  const rest = gb(whole - parts.server - parts.engine);
  console.log(
    `image: ${gb(whole)}: server ${gb(parts.server)}, engine ${gb(parts.engine)}, Debian and Node ${rest}`,
  );
  if (whole >= LIMIT) throw new Error(`the image is larger than ${gb(LIMIT)}`);
}

try {
  mkdirSync(directory, { recursive: true });
  const places = ['graphroot', 'runroot'].map((name) => `${name} = "${join(directory, name)}"`);
  writeFileSync(join(directory, 'storage.conf'), `[storage]\ndriver = "overlay"\n${places.join('\n')}\n`);
  makeBase();
  build();
  const container = run('buildah', ['from', '--pull-never', 'alignsae-server']);
  measure(container);
  const start = [process.execPath, '--import', 'tsx', join(ROOT, 'scripts/image/start.ts'), container];
  console.log(run('unshare', ['--net', ...start]));
} finally {
  if (!given) {
    run('buildah', ['rm', '--all']);
    // Mostly it is no longer mounted by then.
    spawnSync('umount', ['--recursive', join(directory, 'graphroot/overlay')], { stdio: 'ignore' });
    rmSync(directory, { recursive: true, force: true });
  }
}
