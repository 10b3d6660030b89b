import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Database } from '../../src/db/client.ts';
import { createTestDatabase } from '../helpers/database.ts';
import { insertQueuedRun } from '../helpers/fixtures.ts';
import { spawnServer } from './serverProcess.ts';

const other = createServer();
let port: string;
let database: Database;

beforeAll(async () => {
  database = await createTestDatabase();
  other.listen(0, '127.0.0.1');
  await once(other, 'listening');
  port = String((other.address() as AddressInfo).port);
});
afterAll(async () => {
  other.close();
  await database.close();
});

it.concurrent('a server whose port is taken says so and what to do, and takes no runs', async () => {
  const { id } = await insertQueuedRun(database.db);
  const server = spawnServer({ PORT: port, DATABASE_URL: database.connectionString });
  expect(await server.exited).toBe(1);
  const log = server.lines.join('\n');
  expect(log).toMatch(
    new RegExp(`Port ${port} of 127\\.0\\.0\\.1 is taken.*choose another port, such as PORT=`),
  );
  const { rows } = await database.pool.query('select status, attempt from runs where id = $1', [id]);
  expect(rows).toEqual([{ status: 'QUEUED', attempt: 0 }]);
  expect((await database.pool.query('select 1 from workers')).rows).toEqual([]);
});

it.concurrent('the demo whose port is taken says so and what to do, before it prepares anything', async () => {
  const demo = spawn(process.execPath, ['--import', 'tsx', 'src/demo/main.ts', '--exit'], {
    env: { ...process.env, PORT: port, DATABASE_URL: database.connectionString },
  });
  let said = '';
  demo.stdout.on('data', (chunk) => {
    said += chunk;
  });
  const [code] = await once(demo, 'close');
  expect(code).toBe(1);
  expect(said).toMatch(
    new RegExp(`^\\nThe demo could not begin: Port ${port} of 127\\.0\\.0\\.1 is taken.*PORT=\\d+\\.\\n$`),
  );
});
