/**
 * How fast the engine is. `npm run bench` measures it alone; with `--peers`, side by side with PyTorch, SAELens and
 * transformers; with `--growth`, how its steps' cost grows. The last two write docs/benchmarks.md, `--render` writes it
 * again from what was measured before. Options: `--only CASE,…` (names, or their beginnings with a `*`), `--pairs N`,
 * `--python PATH` (has the packages of `bench/peers/requirements.txt`; absent makes a virtual environment),
 * `--cache DIR` (of the native engine).
 */
import { readFile, writeFile } from 'node:fs/promises';
import { availableParallelism, homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { keptSection, sectionOf } from '../section.ts';
import { CASES, type Case } from './cases.ts';
import { expectedBytes, GROWTH_CASES, memoryLimit } from './growth.ts';
import { renderGrowth } from './growthReport.ts';
import { measureCase, measureRates } from './measure.ts';
import { renderAlone, renderDocument } from './report.ts';
import { describeMachine, readResults, type StoredResult, storeAlone, storeResult } from './results.ts';
import { obtainPython } from './venv.ts';

const { values: options } = parseArgs({
  options: {
    peers: { type: 'boolean', default: false },
    growth: { type: 'boolean', default: false },
    render: { type: 'boolean', default: false },
    only: { type: 'string', default: '*' },
    pairs: { type: 'string', default: '7' },
    python: { type: 'string' },
    cache: { type: 'string', default: join(homedir(), '.cache', 'alignsae') },
  },
});
const threads = availableParallelism();
const log = (message: string) => console.error(message);
const documentPath = fileURLToPath(new URL('../../docs/benchmarks.md', import.meta.url));
const asked = ({ name }: Case) =>
  options.only
    .split(',')
    .some((pattern) => (pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : name === pattern));

if (options.peers || options.growth || options.render) {
  if (options.peers) await comparePeers();
  if (options.growth) await measureGrowth();
  const results = await readResults(CASES.map(({ name }) => name));
  const growth = await readResults(GROWTH_CASES.map(({ name }) => name));
  const before = await readFile(documentPath, 'utf8').catch(() => '');
  const cost = growth.length > 0 ? sectionOf('growth', renderGrowth(growth)) : keptSection(before, 'growth');
  const parts = [renderDocument(results).trimEnd(), cost, keptSection(before, 'page')];
  await writeFile(documentPath, `${parts.filter(Boolean).join('\n\n')}\n`);
  log(`wrote ${documentPath}`);
} else await measureAlone();

async function comparePeers(): Promise<void> {
  const python = options.python ?? (await obtainPython(log));
  for (const each of CASES.filter(asked)) await storeResult(await measure(each, python));
}

async function measureGrowth(): Promise<void> {
  const cases = GROWTH_CASES.filter(({ work }) => expectedBytes(work) <= memoryLimit()).filter(asked);
  const rates = await measureRates({ threads, cache: options.cache });
  for (const each of cases) await storeResult({ ...(await measure(each, null)), rates });
}

async function measureAlone(): Promise<void> {
  const results: StoredResult[] = [];
  for (const each of CASES.filter(asked)) results.push(await measure(each, null));
  log(`wrote ${await storeAlone(results)}`);
  console.log(renderAlone(results));
}

async function measure(each: Case, python: string | null): Promise<StoredResult> {
  log(each.name);
  const result = await measureCase(each, {
    pairs: Number(options.pairs),
    threads,
    python,
    cache: options.cache,
    log,
  });
  return { ...result, machine: describeMachine() };
}
