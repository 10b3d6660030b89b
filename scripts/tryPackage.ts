/**
 * `npm run try:package`: packs the server and starts it by `npx` in an empty directory, with Node and npm alone on the
 * PATH. Says how long each part took; ends with 1 when something is not as it should be.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { readConfig } from '../src/config.ts';
import { ROOT } from './page/documents.ts';

const home = mkdtempSync(join(tmpdir(), 'alignsae-package-'));
const place = join(home, 'empty');
const programs = join(home, 'bin');
const env = {
  PATH: programs,
  HOME: home,
  PORT: '0',
  CACHE_DIR: readConfig().cacheDir,
  npm_config_cache: join(home, 'npm'),
  npm_config_prefer_offline: 'true',
};

async function main(): Promise<void> {
  execFileSync('npm', ['run', '-s', 'build'], { cwd: ROOT, stdio: 'inherit' });
  const made = execFileSync('npm', ['pack', '--silent', '--pack-destination', home], {
    cwd: ROOT,
    encoding: 'utf8',
  });
  const tarball = join(home, made.trim());
  mkdirSync(place);
  mkdirSync(programs);
  for (const name of ['node', 'npm', 'npx', 'sh', 'env'])
    symlinkSync(findProgram(name), join(programs, name));
  // What the registry has sent once is not sent again, so that the figure is not that of the network.
  const cache = execFileSync('npm', ['config', 'get', 'cache'], { encoding: 'utf8' }).trim();
  mkdirSync(env.npm_config_cache);
  symlinkSync(join(cache, '_cacache'), join(env.npm_config_cache, '_cacache'));
  console.log('not installed yet, what npm fetches in its cache');
  await start(tarball);
  console.log('installed before');
  await start(tarball);
  checkTypes(tarball);
}

/** Starts it, asks it for its engine and its page, and stops it. */
async function start(tarball: string): Promise<void> {
  const started = performance.now();
  const child = spawn('npx', ['--yes', `../${basename(tarball)}`], {
    cwd: place,
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
    detached: true,
  });
  try {
    const url = await listening(child);
    console.log(`  listening after ${((performance.now() - started) / 1000).toFixed(1)} s`);
    const page = await fetch(`${url}/app`);
    if (page.status !== 200) throw new Error(`the page answers ${page.status}`);
    const body = JSON.stringify({ query: '{ engine { workers { backend fallbackReason } } }' });
    const headers = { 'content-type': 'application/json' };
    console.log(`  ${await (await fetch(`${url}/graphql`, { method: 'POST', headers, body })).text()}`);
  } finally {
    const gone = once(child, 'exit');
    if (child.exitCode === null) {
      process.kill(-child.pid!, 'SIGTERM');
      await gone;
    }
  }
}

function listening(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    const lines: string[] = [];
    createInterface({ input: child.stdout! }).on('line', (line) => {
      lines.push(line);
      if (line.includes('"msg":"listening"')) resolve(JSON.parse(line).url);
    });
    child.once('exit', () => reject(new Error(`it ended:\n${lines.join('\n')}`)));
  });
}

/** A program of somebody else's, typed by what the package says. */
function checkTypes(tarball: string): void {
  const project = join(home, 'project');
  mkdirSync(project);
  writeFileSync(join(project, 'package.json'), '{ "type": "module", "private": true }');
  const npm = { cwd: project, env: { ...env, PATH: process.env.PATH }, stdio: 'ignore' } as const;
  execFileSync('npm', ['install', '--ignore-scripts', '--no-audit', tarball], npm);
  writeFileSync(
    join(project, 'client.ts'),
    `import { follow } from 'alignsae-server/follow';
     import type { ModelRun, RunStatus } from 'alignsae-server/schema';
     const status: ModelRun['status'] = 'RUNNING' satisfies RunStatus;
     for await (const item of follow('http://127.0.0.1:4000/graphql', { query: 'subscription { a }' })) console.log(status, item);
     // @ts-expect-error it has no such status
     export const wrong: RunStatus = 'ELSEWHERE';`,
  );
  const options = [
    '--noEmit',
    '--strict',
    '--module',
    'nodenext',
    '--target',
    'es2022',
    '--skipLibCheck',
    'false',
  ];
  execFileSync(join(ROOT, 'node_modules/.bin/tsc'), [...options, '--types', '', 'client.ts'], {
    cwd: project,
    stdio: 'inherit',
  });
  console.log('types of follow() and of the schema: read by a program of somebody else’s');
}

function findProgram(name: string): string {
  if (name === 'node') return process.execPath;
  const beside = join(dirname(process.execPath), name);
  return name.startsWith('np') ? beside : execFileSync('which', [name], { encoding: 'utf8' }).trim();
}

try {
  await main();
} finally {
  rmSync(home, { recursive: true, force: true });
}
