/** The page as a clone has it before anybody has built it. */
import { cp, mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Database } from '../../src/db/client.ts';
import { createTestDatabase } from '../helpers/database.ts';
import { groupGone, startServer } from './serverProcess.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const NEEDED = [
  ...['.npmrc', 'package.json', 'package-lock.json', 'schema.graphql', 'tsconfig.json'],
  ...['kernels', 'migrations', 'scripts', 'src', 'web'],
];

let dir: string;
let database: Database;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'alignsae-clone-'));
  database = await createTestDatabase();
  for (const name of NEEDED) await cp(join(ROOT, name), join(dir, name), { recursive: true });
  await rm(join(dir, 'web/src/api/documents.ts'), { force: true });
  await symlink(join(ROOT, 'node_modules'), join(dir, 'node_modules'));
}, 180_000);
afterAll(async () => {
  await database.close();
  await rm(dir, { recursive: true, force: true });
});

test('npm start builds it and serves it', { timeout: 180_000 }, async () => {
  const server = await startServer(
    { DATABASE_URL: database.connectionString, DATA_DIR: join(dir, 'data'), ROLE: 'api' },
    { file: 'npm', args: ['start'], cwd: dir },
  );
  try {
    const page = await fetch(`${server.url}/app`, { headers: { accept: 'text/html' } });
    expect(page.status).toBe(200);
    const [, script] = /<script[^>]+src="([^"]+)"/.exec(await page.text())!;
    expect((await fetch(server.url + script)).status).toBe(200);
    expect(server.lines.some((line) => line.startsWith('The page was built in '))).toBe(true);
  } finally {
    process.kill(-server.child.pid!, 'SIGTERM');
    await server.exited;
    await groupGone(server);
  }
});
