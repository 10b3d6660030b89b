/** How large everything is, every ten seconds, and whether it grew. */
import { readdir, stat } from 'node:fs/promises';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Client } from 'pg';
import type { Bucket } from '../../src/db/s3/bucket.ts';
import { spread } from '../speed/stats.ts';
import type { Time } from './faults.ts';
import type { Member } from './team.ts';

const EVERY_MS = 10_000;
const MB = 2 ** 20;

/** MB of each; `files` are those of the servers, their caches included, `memory` is what they have resident. */
export interface Sizes {
  database: number;
  bucket: number;
  files: number;
  memory: number;
}

export interface Watched {
  members: readonly Member[];
  client: Client;
  bucket: Bucket;
  directory: string;
}

/** Sizes until the end, and the load of the machine at each. */
export async function watchSizes(watched: Watched, time: Time): Promise<{ sizes: Sizes[]; loads: number[] }> {
  const sizes: Sizes[] = [];
  const loads: number[] = [];
  while (Date.now() < time.end) {
    // On a busy machine the bucket may not answer in time.
    const size = await measure(watched).catch((error) => console.log(`   not measured: ${error.message}`));
    if (size) sizes.push(size);
    loads.push(loadavg()[0]!);
    await delay(EVERY_MS);
  }
  return { sizes, loads };
}

async function measure({ members, client, bucket, directory }: Watched): Promise<Sizes> {
  const { rows } = await client.query('select pg_database_size(current_database())::float8 as bytes');
  let objects = 0;
  for await (const { bytes } of bucket.list('')) objects += bytes;
  const files = await Promise.all(members.map(({ name }) => bytesBelow(join(directory, name))));
  const memory = await Promise.all(members.map((member) => member.memory()));
  const sum = (values: number[]) => values.reduce((total, value) => total + value, 0);
  return {
    database: rows[0].bytes / MB,
    bucket: objects / MB,
    files: sum(files) / MB,
    memory: sum(memory) / MB,
  };
}

/** What is deleted meanwhile counts nothing. */
async function bytesBelow(directory: string): Promise<number> {
  const entries = await readdir(directory, { withFileTypes: true, recursive: true }).catch(() => []);
  const found = await Promise.all(
    entries
      .filter((entry) => entry.isFile())
      .map((entry) => stat(join(entry.parentPath, entry.name)).catch(() => null)),
  );
  return found.reduce((total, file) => total + (file?.size ?? 0), 0);
}

/** Rows of a table: the medians of the first, second and last third, and the most there ever was. */
export function describeSizes(sizes: readonly Sizes[]): string[] {
  const third = Math.max(1, Math.floor(sizes.length / 3));
  const parts = [sizes.slice(0, third), sizes.slice(third, -third), sizes.slice(-third)];
  const whose = {
    database: 'the database',
    bucket: 'the bucket',
    files: 'files of the servers, their caches included',
    memory: 'resident memory of the five servers',
  };
  return Object.entries(whose).map(([key, name]) => {
    const of = (part: readonly Sizes[]) => part.map((size) => size[key as keyof Sizes]);
    const medians = parts.map((part) => (part.length > 0 ? spread(of(part)).median.toFixed(0) : '–'));
    return `| ${[`${name}, MB`, ...medians, Math.max(...of(sizes)).toFixed(0)].join(' | ')} |`;
  });
}
