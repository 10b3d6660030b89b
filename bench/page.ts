/**
 * What the page costs: bytes of its first view, time until live runs are seen, a curve of a million points and a closer look at it, and the load
 * of ten series that grow by 50 points a second each. `npm run bench:page [seconds]`, in a real browser, on the embedded
 * Postgres with 1,000 runs.
 */
import { fork } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { pino } from 'pino';
import { type Browser, chromium, type Page } from 'playwright-core';
import { buildPageIfStale } from '../scripts/page/build.ts';
import { createDatabase, type Db } from '../src/db/client.ts';
import { startEmbeddedPostgres } from '../src/db/embedded.ts';
import { migrateDatabase } from '../src/db/migrate.ts';
import { appendMetrics } from '../src/db/queries/events.ts';
import { encodeGlobalId } from '../src/schema/ids.ts';
import { insertRunningRun } from '../test/helpers/fixtures.ts';
import { fillDatabase } from './database/fill.ts';

const log = pino({ level: 'warn' });
const SIZE = { runs: 1_000, longest: 1_000_000, points: 2_400_000, events: 1_000, others: 10 };
const TIMES = 9;
const SERIES = 10;
const PER_SECOND = 50;
const SECONDS = Number(process.argv[2] ?? 60);

const median = (times: number[]) => times.sort((a, b) => a - b)[times.length >> 1]!;
const runPath = (id: string) => `/app/runs/${encodeURIComponent(encodeGlobalId('ModelRun', id))}`;

async function firstViewBytes(url: string): Promise<number> {
  const read = async (path: string) => {
    const response = await fetch(url + path, { headers: { 'accept-encoding': 'gzip', accept: 'text/html' } });
    return { size: Number(response.headers.get('content-length')), text: await response.text() };
  };
  const { size, text } = await read('/app');
  const assets = [...text.matchAll(/(?:src|href)="(\/app\/assets\/[^"]+)"/g)].map(([, path]) => path!);
  const sizes = await Promise.all(assets.map(async (path) => (await read(path)).size));
  return sizes.reduce((sum, each) => sum + each, size);
}

/** From the address to the first row of a run, nothing in the cache. */
async function timeOpening(browser: Browser, url: string): Promise<number> {
  const context = await browser.newContext({ baseURL: url });
  const page = await context.newPage();
  const start = performance.now();
  await page.goto('/app', { waitUntil: 'commit' });
  await page.locator('table.runs tbody tr').first().waitFor();
  const time = performance.now() - start;
  await context.close();
  return time;
}

/** From the change of address within the page to the painted curve. */
async function timeCurve(page: Page, path: string): Promise<number> {
  await page.goto('/app');
  await page.locator('table.runs tbody tr').first().waitFor();
  return page.evaluate(async (address) => {
    const link = Object.assign(document.createElement('a'), { href: address });
    document.querySelector('main')!.append(link);
    const start = performance.now();
    link.click();
    while (!document.querySelector('.uplot canvas')) await new Promise(requestAnimationFrame);
    await new Promise(requestAnimationFrame);
    return performance.now() - start;
  }, path);
}

/** From the choice of a stretch of steps to the curve of that stretch alone, as it was asked for anew. */
async function timeZoom(page: Page, path: string, from: number, to: number): Promise<number> {
  await page.goto(path);
  await page.locator('.uplot canvas').first().waitFor();
  const choice = { address: `${path}?steps=${from}-${to}`, from, to };
  return page.evaluate(async ({ address, from, to }) => {
    const link = Object.assign(document.createElement('a'), { href: address });
    document.querySelector('main')!.append(link);
    const start = performance.now();
    link.click();
    for (let isRefined = false; !isRefined; ) {
      await new Promise(requestAnimationFrame);
      const label = document.querySelector('.plot[role=img]')?.getAttribute('aria-label') ?? '';
      const [, first, last] = /between steps (\d+) and (\d+)/.exec(label) ?? [];
      isRefined = Number(first) >= from && Number(last) <= to;
    }
    await new Promise(requestAnimationFrame);
    return performance.now() - start;
  }, choice);
}

/** The share of a core that the page took, and the points that it shows of those that were written. */
async function stream(page: Page, db: Db): Promise<{ core: number; shown: number; written: number }> {
  const { id, claim } = await insertRunningRun(db);
  const names = Array.from({ length: SERIES }, (_, i) => `loss/${i}`);
  const write = (step: number) => {
    const values = Object.fromEntries(names.map((name, i) => [name, Math.sin(step / 50) + i]));
    return appendMetrics(db, claim, [{ step, at: Date.now(), values }]);
  };
  await write(1);
  await page.goto(runPath(id));
  await page.locator('.uplot canvas').first().waitFor();
  const cdp = await page.context().newCDPSession(page);
  await cdp.send('Performance.enable');
  const busy = async () =>
    (await cdp.send('Performance.getMetrics')).metrics.find(({ name }) => name === 'TaskDuration')!.value;
  const [before, start, written] = [await busy(), performance.now(), SECONDS * PER_SECOND];
  for (let step = 2; step <= written; step += 1) {
    await write(step);
    await new Promise((resolve) =>
      setTimeout(resolve, Math.max(0, start + (step * 1000) / PER_SECOND - performance.now())),
    );
  }
  const core = (await busy()) - before;
  const seconds = (performance.now() - start) / 1000;
  await page.getByRole('img', { name: new RegExp(`^loss/0: .* and ${written},`) }).waitFor();
  await page.locator('figure').first().getByRole('button', { name: 'Table' }).click();
  const shown = await page.locator('figure').first().locator('tbody tr').count();
  return { core: core / seconds, shown, written };
}

async function startServer(databaseUrl: string, dataDir: string): Promise<{ url: string; stop(): void }> {
  const child = fork(fileURLToPath(new URL('../src/main.ts', import.meta.url)), {
    env: {
      ...process.env,
      ROLE: 'api',
      PORT: '0',
      DATABASE_URL: databaseUrl,
      DATA_DIR: dataDir,
      LOG_LEVEL: 'error',
    },
  });
  const url = await new Promise<string>((resolve, reject) => {
    child.once('message', (message) => resolve((message as { url: string }).url));
    child.once('exit', (code) => reject(new Error(`the server ended with ${code}`)));
  });
  return { url, stop: () => void child.kill('SIGTERM') };
}

function findBrowser(): string {
  const paths = (process.env.PATH ?? '').split(delimiter).map((path) => join(path, 'chromium'));
  const found = paths.find((path) => existsSync(path));
  if (!found) throw new Error('A browser is needed: chromium is not on the PATH.');
  return found;
}

async function measure(browser: Browser, url: string, db: Db, longRunId: string): Promise<void> {
  const say = (name: string, value: string) => console.log(`${name}: ${value}`);
  say('first view, gzipped', `${((await firstViewBytes(url)) / 1000).toFixed(1)} kB`);
  await timeOpening(browser, url);
  const openings: number[] = [];
  for (let i = 0; i < TIMES; i += 1) openings.push(await timeOpening(browser, url));
  say('address opened → runs seen', `${median(openings).toFixed(0)} ms (median of ${TIMES})`);
  const page = await browser.newPage({ baseURL: url });
  page.setDefaultTimeout(120_000);
  say('1,000,000 points, first time', `${(await timeCurve(page, runPath(longRunId))).toFixed(0)} ms`);
  const curves: number[] = [];
  for (let i = 0; i < TIMES; i += 1) curves.push(await timeCurve(page, runPath(longRunId)));
  say('1,000,000 points, curve drawn', `${median(curves).toFixed(0)} ms (median of ${TIMES})`);
  const zooms: number[] = [];
  for (let i = 1; i <= TIMES; i += 1) {
    const from = Math.round((SIZE.longest * i) / (TIMES + 2));
    zooms.push(await timeZoom(page, runPath(longRunId), from, from + SIZE.longest / 100));
  }
  say('1,000,000 points, zoom refined', `${median(zooms).toFixed(0)} ms (median of ${TIMES})`);
  const { core, shown, written } = await stream(page, db);
  say(
    `${SERIES} series, ${PER_SECOND} points/s each, ${SECONDS} s`,
    `${(core * 100).toFixed(1)}% of a core, ${shown} of ${written} points shown`,
  );
}

await buildPageIfStale();
const dataDir = await mkdtemp(join(tmpdir(), 'alignsae-page-bench-'));
// As root, Postgres runs as somebody else, who has to get in.
await chmod(dataDir, 0o755);
const postgres = await startEmbeddedPostgres({ dataDir, log });
await migrateDatabase(postgres.connectionString);
const database = createDatabase(postgres.connectionString, { log });
// First, for an artifact store must be as new as its database.
const server = await startServer(postgres.connectionString, join(dataDir, 'store'));
const { longRunId } = await fillDatabase(database.db, SIZE);
const browser = await chromium.launch({ executablePath: findBrowser(), args: ['--no-sandbox'] });
try {
  await measure(browser, server.url, database.db, longRunId);
} finally {
  await browser.close();
  server.stop();
  await database.close();
  await postgres.stop();
  await rm(dataDir, { recursive: true, force: true });
}
