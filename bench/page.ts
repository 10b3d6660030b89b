/**
 * What the page costs: bytes of its first view, time until live runs are seen, a curve of a million points and a closer
 * look at it, the load of ten series that grow by 50 points a second each, the queries of each view with 1,000 runs, and
 * requests a second beside bare `pg`. `npm run bench:page [seconds] [--dry]`, in a real browser, on the embedded
 * Postgres; writes its section of docs/benchmarks.md unless it is dry.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
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
import { type Figure, writePageReport } from './page/report.ts';
import { measureThroughput } from './page/throughput.ts';
import { makeViewedRuns, timeViews } from './page/views.ts';

const log = pino({ level: 'warn' });
const SIZE = { runs: 1_000, longest: 1_000_000, points: 2_400_000, events: 1_000, others: 10 };
const TIMES = 9;
const SERIES = 10;
const PER_SECOND = 50;
const SECONDS = Number(process.argv.slice(2).find((argument) => /^\d+$/.test(argument)) ?? 60);

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

async function startServer(
  role: 'all' | 'api',
  databaseUrl: string,
  dataDir: string,
): Promise<{ url: string; stop(): Promise<unknown> }> {
  const child = fork(fileURLToPath(new URL('../src/main.ts', import.meta.url)), {
    env: {
      ...process.env,
      ROLE: role,
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
  return {
    url,
    stop() {
      child.kill('SIGTERM');
      return once(child, 'exit');
    },
  };
}

function findBrowser(): string {
  const paths = (process.env.PATH ?? '').split(delimiter).map((path) => join(path, 'chromium'));
  const found = paths.find((path) => existsSync(path));
  if (!found) throw new Error('A browser is needed: chromium is not on the PATH.');
  return found;
}

async function measure(browser: Browser, url: string, db: Db, longRunId: string): Promise<Figure[]> {
  const figures: Figure[] = [];
  const say = (what: string, aim: string, is: string) => {
    figures.push({ what, aim, is });
    console.log(`${what}: ${is} (aim: ${aim})`);
  };
  const bytes = await firstViewBytes(url);
  say('first view, scripts and styles, gzipped', '≤ 80 kB', `${(bytes / 1000).toFixed(1)} kB`);
  await timeOpening(browser, url);
  const openings: number[] = [];
  for (let i = 0; i < TIMES; i += 1) openings.push(await timeOpening(browser, url));
  say('address opened → live runs seen', '≤ 500 ms', `${median(openings).toFixed(0)} ms, median of ${TIMES}`);
  const page = await browser.newPage({ baseURL: url });
  page.setDefaultTimeout(120_000);
  const first = await timeCurve(page, runPath(longRunId));
  const curves: number[] = [];
  for (let i = 0; i < TIMES; i += 1) curves.push(await timeCurve(page, runPath(longRunId)));
  const drawn = `${median(curves).toFixed(0)} ms, median of ${TIMES}; the first time ${first.toFixed(0)} ms`;
  say('1,000,000 points: curve drawn', '≤ 300 ms', drawn);
  const zooms: number[] = [];
  for (let i = 1; i <= TIMES; i += 1) {
    const from = Math.round((SIZE.longest * i) / (TIMES + 2));
    zooms.push(await timeZoom(page, runPath(longRunId), from, from + SIZE.longest / 100));
  }
  say('the same: zoom refined', '≤ 150 ms', `${median(zooms).toFixed(0)} ms, median of ${TIMES}`);
  const { core, shown, written } = await stream(page, db);
  say(
    `${SERIES} series, ${PER_SECOND} points/s each, ${SECONDS} s`,
    'no point dropped, ≤ 10% of a core',
    `${shown} of ${written} points shown, ${(core * 100).toFixed(1)}% of a core`,
  );
  return figures;
}

await buildPageIfStale();
const dataDir = await mkdtemp(join(tmpdir(), 'alignsae-page-bench-'));
// As root, Postgres runs as somebody else, who has to get in.
await chmod(dataDir, 0o755);
const postgres = await startEmbeddedPostgres({ dataDir, log });
await migrateDatabase(postgres.connectionString);
const database = createDatabase(postgres.connectionString, { log });
// First, for an artifact store must be as new as its database; and gone again before there are runs that nobody works on,
// which a worker would take.
const maker = await startServer('all', postgres.connectionString, join(dataDir, 'store'));
const runs = await makeViewedRuns({ endpoint: `${maker.url}/graphql` });
await maker.stop();
const server = await startServer('api', postgres.connectionString, join(dataDir, 'store'));
const api = { endpoint: `${server.url}/graphql` };
const { longRunId } = await fillDatabase(database.db, SIZE);
const browser = await chromium.launch({ executablePath: findBrowser(), args: ['--no-sandbox'] });
try {
  const views = await timeViews(api, runs);
  for (const { view, query, medianMs } of views) console.log(`${view}: ${query} ${medianMs.toFixed(1)} ms`);
  const figures = await measure(browser, server.url, database.db, longRunId);
  const { api: ours, bare } = await measureThroughput(database.db, postgres.connectionString);
  figures.push({
    what: 'bindings, 100 rows × 5 fields: requests a second beside bare `pg` with the same SQL',
    aim: '≥ 0.5',
    is: `${(ours / bare).toFixed(2)} (${ours.toFixed(0)} beside ${bare.toFixed(0)})`,
  });
  console.log(
    `bindings: ${(ours / bare).toFixed(2)} of bare pg (${ours.toFixed(0)} of ${bare.toFixed(0)}/s)`,
  );
  if (!process.argv.includes('--dry')) await writePageReport(figures, views);
} finally {
  await browser.close();
  await server.stop();
  await database.close();
  await postgres.stop();
  await rm(dataDir, { recursive: true, force: true });
}
