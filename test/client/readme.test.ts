import { execFile, execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Database } from '../../src/db/client.ts';
import { appendMetrics } from '../../src/db/queries/events.ts';
import { finishRun } from '../../src/db/queries/runs.ts';
import { createTestDatabase } from '../helpers/database.ts';
import { insertRunningRun } from '../helpers/fixtures.ts';
import { makeTempDirectory } from '../helpers/tempDirectory.ts';
import { startProxy } from '../page/proxy.ts';
import { startTestApi, type TestApi } from '../server/edge.ts';

const POINTS = 200;
let dir: string;
let database: Database;
let api: TestApi;

beforeAll(async () => {
  dir = await makeTempDirectory('follow');
  database = await createTestDatabase();
  api = await startTestApi(database);
  const { claim } = await insertRunningRun(database.db);
  const values = { loss: 1 };
  await appendMetrics(
    database.db,
    claim,
    Array.from({ length: POINTS }, (_, step) => ({ step, at: 0, values })),
  );
  await finishRun(database.db, claim, {});
});
afterAll(async () => {
  await api.stop();
  await database.close();
  await rm(dir, { recursive: true });
});

/** The block of code in README that follows a subscription, to be run against `url`. */
function snippet(language: string, url: string): string {
  const blocks = [...readFileSync('README.md', 'utf8').matchAll(/^```(\w+)\n(.+?)^```/gms)];
  const block = blocks.find(([, name, code]) => name === language && code!.includes('follow('))![2]!;
  expect(block).toContain('http://127.0.0.1:4000');
  return block.replace('http://127.0.0.1:4000', url);
}

/** The package as it is published, in so far as `follow` needs it, where a program of its users finds it. */
function installPackage(): void {
  const modules = join(dir, 'node_modules');
  const published = join(modules, 'alignsae-server');
  mkdirSync(published, { recursive: true });
  writeFileSync(join(published, 'package.json'), readFileSync('package.json'));
  for (const name of ['graphql-ws', 'graphql', 'ws'])
    symlinkSync(resolve('node_modules', name), join(modules, name));
  execFileSync(process.execPath, [TSC, '-p', 'tsconfig.client.json', '--outDir', join(published, 'dist')]);
}

const TSC = 'node_modules/typescript/bin/tsc';
const STRICT = ['--noEmit', '--strict', '--module', 'nodenext', '--target', 'es2023', '--types', ''];

/** Runs a program behind a proxy that cuts it off twice, and gives the steps that it prints. */
async function stepsOf(command: (url: string) => [string, string[]]): Promise<number[]> {
  const proxy = await startProxy(api.url, [5_000, 9_001]);
  const [program, args] = command(proxy.url);
  const { stdout } = await promisify(execFile)(program, args, { cwd: dir });
  expect(proxy.cutsLeft).toBe(0);
  await proxy.close();
  const items = stdout
    .trim()
    .split('\n')
    .map((text) => JSON.parse(text) as { event: { step?: number } });
  return items.flatMap(({ event }) => event.step ?? []);
}

const ALL = Array.from({ length: POINTS }, (_, step) => step);

it.concurrent('README’s subscription in TypeScript repeats and misses nothing, and has types', async () => {
  installPackage();
  const path = join(dir, 'follow.mts');
  const tsx = import.meta.resolve('tsx');
  const steps = await stepsOf((url) => {
    writeFileSync(path, snippet('ts', url));
    return [process.execPath, ['--import', tsx, path]];
  });
  expect(steps).toEqual(ALL);
  execFileSync(process.execPath, [resolve(TSC), ...STRICT, path], { cwd: dir });
});

it.concurrent('README’s subscription in Python repeats and misses nothing', async () => {
  expect(await stepsOf((url) => ['python3', ['-c', snippet('python', url)]])).toEqual(ALL);
});
