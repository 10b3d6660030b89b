/**
 * A dataset of a million prompts from a file into the database: lines a second and the memory of the process that reads
 * it, on the embedded Postgres with its production settings. Linux only, for memory is read from `/proc`.
 * `npx tsx bench/imports.ts [--prompts 1000000] [--directory DIR]`
 */
import { createWriteStream } from 'node:fs';
import { chmod, mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { parseArgs } from 'node:util';
import { eq } from 'drizzle-orm';
import { pino } from 'pino';
import { createDatabase } from '../src/db/client.ts';
import { startEmbeddedPostgres } from '../src/db/embedded.ts';
import { migrateDatabase } from '../src/db/migrate.ts';
import { examples } from '../src/db/tables/index.ts';
import { importDataset } from '../src/services/datasetCreation.ts';

const { values: options } = parseArgs({
  options: {
    prompts: { type: 'string', default: '1000000' },
    directory: { type: 'string', default: tmpdir() },
  },
});
const PROMPTS = Number(options.prompts);
const CONCEPTS = ['birth_date', 'birth_city', 'university', 'major', 'employer', 'work_city'];
/** Prompts about one fact, as a generated dataset has them. */
const PHRASINGS = 4;
const FILE = 'prompts.jsonl';
const log = pino({ level: 'warn' });

const directory = await mkdtemp(join(options.directory, 'alignsae-imports-'));
// As root, Postgres runs as somebody else, who has to get in.
await chmod(directory, 0o755);
const postgres = await startEmbeddedPostgres({ dataDir: join(directory, 'postgres'), log });
await migrateDatabase(postgres.connectionString);
const database = createDatabase(postgres.connectionString, { log });
try {
  await pipeline(lines, createWriteStream(join(directory, FILE)));
  const { size } = await stat(join(directory, FILE));
  const before = await memory('VmRSS');
  const start = performance.now();
  const { id } = await importDataset(database.db, { path: FILE }, directory);
  const seconds = (performance.now() - start) / 1000;
  const stored = await database.db.$count(examples, eq(examples.datasetId, id));
  if (stored !== PROMPTS) throw new Error(`${stored} prompts were stored of ${PROMPTS}`);
  const count = 1 + CONCEPTS.length + PROMPTS + Math.ceil(PROMPTS / PHRASINGS);
  console.log(
    `${PROMPTS} prompts, ${count} lines, ${(size / 2 ** 20).toFixed(0)} MiB in ${seconds.toFixed(1)} s: ` +
      `${Math.round(count / seconds)} lines/s; memory ${before} MB before, at most ${await memory('VmHWM')} MB ` +
      `(${cpus().length} cores of ${cpus()[0]!.model}, load ${loadavg()[0]!.toFixed(1)})`,
  );
} finally {
  await database.close();
  await postgres.stop();
  await rm(directory, { recursive: true, force: true });
}

function* lines(): Generator<string> {
  const line = (value: object) => `${JSON.stringify(value)}\n`;
  yield line({ type: 'ontology', slug: 'people' });
  for (const key of CONCEPTS) yield line({ type: 'concept', key });
  for (let i = 0; i < PROMPTS; i++) {
    const fact = Math.floor(i / PHRASINGS);
    const concept = CONCEPTS[fact % CONCEPTS.length]!;
    const entity = `Person Number ${Math.floor(fact / CONCEPTS.length)}`;
    const answer = `value ${fact % 977}`;
    const template = i % PHRASINGS;
    if (template === 0) yield line({ type: 'fact', entity, concept, value: answer });
    const split = template === PHRASINGS - 1 ? 'TEST_OOD' : 'TRAIN';
    const prompt = `Phrasing ${template}: what is the ${concept} of ${entity}? Answer:`;
    yield line({ type: 'prompt', prompt, answer, entity, concept, template: `t${template}`, split });
  }
}

/** Of this process, in MB. */
async function memory(field: 'VmRSS' | 'VmHWM'): Promise<number> {
  const status = await readFile('/proc/self/status', 'utf8');
  return Math.round(Number(new RegExp(`${field}:\\s+(\\d+)`).exec(status)![1]) / 1024);
}
