import { execFile } from 'node:child_process';
import { cp, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { sql } from 'drizzle-orm';
import { Client } from 'pg';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import type { Database } from '../../src/db/client.ts';
import { migrateDatabase } from '../../src/db/migrate.ts';
import { createTestDatabase, withDatabase } from '../helpers/database.ts';

const run = promisify(execFile);
let database: Database;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.close());

const count = async (db: Database['db'], from: string) =>
  (await db.execute(sql.raw(`select count(*)::int as n from ${from}`))).rows[0]!.n;

test('any number of servers may migrate an empty database at once', async () => {
  const name = 'test_empty';
  const admin = new Client({ connectionString: withDatabase(inject('templateUrl'), 'postgres') });
  await admin.connect();
  try {
    await admin.query(`create database ${name}`);
    const url = withDatabase(inject('templateUrl'), name);
    await Promise.all([1, 2, 3, 4].map(() => migrateDatabase(url)));
    const client = new Client({ connectionString: url });
    await client.connect();
    const { rows } = await client.query('select count(*)::int as n from drizzle.__drizzle_migrations');
    await client.end();
    expect(rows[0].n).toBe(await count(database.db, 'drizzle.__drizzle_migrations'));
  } finally {
    await admin.query(`drop database if exists ${name} with (force)`);
    await admin.end();
  }
});

test('migrating again changes nothing', async () => {
  const before = await count(database.db, 'drizzle.__drizzle_migrations');
  await migrateDatabase(database.connectionString);
  expect(await count(database.db, 'drizzle.__drizzle_migrations')).toBe(before);
});

test('an older server does not touch a newer database', async () => {
  const newer = await createTestDatabase();
  try {
    await newer.db.execute(
      sql`insert into drizzle.__drizzle_migrations (hash, created_at) values ('x', 9e15::bigint)`,
    );
    await expect(migrateDatabase(newer.connectionString)).rejects.toMatchObject({
      code: 'CONFLICT',
      message: expect.stringMatching(/newer version/),
    });
  } finally {
    await newer.close();
  }
});

test('the migrations make exactly the tables that the code knows', async () => {
  const out = await mkdtemp(join(tmpdir(), 'alignsae-migrations-'));
  try {
    await cp('migrations', out, { recursive: true });
    const before = await readdir(out);
    const drizzleKit = resolve('node_modules/drizzle-kit/bin.cjs');
    // drizzle-kit takes `out` relative to where it runs.
    const args = [
      'generate',
      '--dialect=postgresql',
      `--schema=${resolve('src/db/tables/index.ts')}`,
      '--out=.',
    ];
    const { stdout } = await run(process.execPath, [drizzleKit, ...args], { cwd: out });
    expect(await readdir(out), `run npm run db:generate: ${stdout}`).toEqual(before);
    expect(stdout).toMatch(/No schema changes/);
  } finally {
    await rm(out, { recursive: true, force: true });
  }
});

test('every foreign key has an index to look it up by', async () => {
  const { rows } = await database.db.execute(sql`
    select conrelid::regclass || '.' || a.attname as missing
    from pg_constraint c join pg_attribute a on a.attrelid = c.conrelid and a.attnum = c.conkey[1]
    where c.contype = 'f' and c.connamespace = 'public'::regnamespace and not exists (
      select from pg_index i where i.indrelid = c.conrelid and i.indkey[0] = c.conkey[1])
    order by 1`);
  expect(rows).toEqual([]);
});
