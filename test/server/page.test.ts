import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Database } from '../../src/db/client.ts';
import { createTestDatabase } from '../helpers/database.ts';
import { startTestApi, type TestApi } from './edge.ts';
import { readRaw } from './raw.ts';

let database: Database;
let api: TestApi;

beforeAll(async () => {
  database = await createTestDatabase();
  api = await startTestApi(database);
});
afterAll(async () => {
  await api.stop();
  await database.close();
});

const get = (path: string, headers: Record<string, string> = {}, method = 'GET') =>
  readRaw(`${api.url}${path}`, { method, headers });
const HTML = { accept: 'text/html,application/xhtml+xml' };

/** The files that the page names, as a browser asks for them before it shows anything. */
async function firstView(): Promise<string[]> {
  const { body } = await get('/app');
  return [...body.toString().matchAll(/(?:src|href)="(\/app\/assets\/[^"]+)"/g)].map(([, path]) => path!);
}

it('leads browsers to the page, and everybody else to the API', async () => {
  expect((await get('/', HTML)).headers.location).toBe('/app');
  expect((await get('/', { accept: 'application/json' })).headers.location).toBe('/graphql');
});

it('answers every address of a view with the page, which may load nothing from elsewhere', async () => {
  const [home, run] = [await get('/app', HTML), await get('/app/runs/abc?split=TRAIN', HTML)];
  expect(home.status).toBe(200);
  expect(run.body).toEqual(home.body);
  expect(home.headers['content-type']).toBe('text/html; charset=utf-8');
  expect(home.headers['content-security-policy']).toMatch(/^default-src 'self';/);
  expect(home.headers['cache-control']).toBe('no-cache');
  expect(home.body.toString()).not.toMatch(/https?:|<style|style=|<script(?![^>]* src=)/);
  const again = await get('/app', { ...HTML, 'if-none-match': home.headers.etag as string });
  expect([again.status, again.body.length]).toEqual([304, 0]);
});

it('serves assets as they were compressed, to be kept for a year', async () => {
  const paths = await firstView();
  expect(paths.length).toBeGreaterThan(2);
  for (const path of paths) {
    const [plain, br, gzip] = [
      await get(path),
      await get(path, { 'accept-encoding': 'gzip, br' }),
      await get(path, { 'accept-encoding': 'gzip' }),
    ];
    expect(plain.headers['cache-control']).toBe('public, max-age=31536000, immutable');
    expect([br.headers['content-encoding'], gzip.headers['content-encoding']]).toEqual(['br', 'gzip']);
    expect(brotliDecompressSync(br.body)).toEqual(plain.body);
    expect(gunzipSync(gzip.body)).toEqual(plain.body);
  }
});

it('fits the first view into 80 kB', async () => {
  const sizes = await Promise.all(
    ['/app', ...(await firstView())].map(
      async (path) => (await get(path, { 'accept-encoding': 'gzip' })).body.length,
    ),
  );
  expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThan(80_000);
});

it('says what is not there and what cannot be done', async () => {
  const missing = await get('/app/assets/main-OLD.js');
  expect([missing.status, missing.body.toString()]).toEqual([
    404,
    '{"errors":[{"message":"There is nothing at /app/assets/main-OLD.js.","extensions":{"code":"NOT_FOUND"}}]}',
  ]);
  const put = await get('/app', {}, 'PUT');
  expect([put.status, put.headers.allow]).toEqual([405, 'GET, HEAD']);
  expect((await get('/app/assets/..%2f..%2findex.html')).status).toBe(404);
  expect((await get('/app', {}, 'HEAD')).body).toHaveLength(0);
});
