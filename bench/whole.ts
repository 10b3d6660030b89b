/**
 * A whole job side by side with a script that does the same in PyTorch and transformers (`bench/peers/whole.py`): from a
 * dataset and a model to the binding matrix of unseen entities and 420 swaps; each side a fresh process, timed from its
 * start to its end, in turn. `npx tsx bench/whole.ts [--pairs 5] [--python PATH] [--cache DIR]` writes
 * `.data/whole/report.md`.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { cpus, homedir, loadavg } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { execute } from '../src/engine/native/command.ts';
import { loadBenchBackend } from './backend.ts';
import { obtainPython } from './speed/venv.ts';
import { type Done, EXPORTED, writeJob } from './whole/job.ts';

const { values: options } = parseArgs({
  options: {
    pairs: { type: 'string', default: '5' },
    python: { type: 'string' },
    cache: { type: 'string', default: join(homedir(), '.cache', 'alignsae') },
  },
});
const file = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const STORE = file('../.data/whole');
const PARTS = ['load', 'capture', 'train', 'bind', 'swap'] as const;

await mkdir(STORE, { recursive: true });
// Theirs are left as they come.
const inherited = { ...process.env };
await loadBenchBackend('auto', options.cache);
await writeJob(STORE);
const python = options.python ?? (await obtainPython((message) => console.error(message)));
const sides = {
  ours: { file: process.execPath, args: ['--import', 'tsx', file('whole/ours.ts'), STORE, options.cache] },
  theirs: { file: python, args: [file('peers/whole.py'), join(STORE, EXPORTED)] },
};
type Measured = Done & { wall: number };
const measured: Record<keyof typeof sides, Measured[]> = { ours: [], theirs: [] };
for (let pair = 0; pair < Number(options.pairs); pair++)
  for (const side of ['ours', 'theirs'] as const) {
    measured[side].push(await run(side));
    console.error(side, JSON.stringify(measured[side].at(-1)));
  }
const report = render();
await writeFile(join(STORE, 'report.md'), report);
console.log(report);

async function run(side: keyof typeof sides): Promise<Measured> {
  const start = performance.now();
  const stdout = await execute(sides[side], side === 'ours' ? process.env : inherited);
  const wall = (performance.now() - start) / 1000;
  return { ...(JSON.parse(stdout.trim().split('\n').at(-1)!) as Done), wall };
}

function render(): string {
  const median = (side: keyof typeof sides, of: (done: Measured) => number) =>
    measured[side].map(of).sort((a, b) => a - b)[Math.floor(measured[side].length / 2)]!;
  const row = (name: string, of: (done: Measured) => number, digits: number) =>
    `| ${name} | ${median('ours', of).toFixed(digits)} | ${median('theirs', of).toFixed(digits)} |`;
  const ratios = measured.ours.map(({ wall }, i) => wall / measured.theirs[i]!.wall).sort((a, b) => a - b);
  const machine = `${cpus().length} cores of ${cpus()[0]!.model}, load ${loadavg()[0]!.toFixed(1)}`;
  return `${[
    `Medians of ${ratios.length} runs each, in turn, on ${machine}. Ours : theirs ${ratios[Math.floor(ratios.length / 2)]!.toFixed(2)} (${ratios[0]!.toFixed(2)}–${ratios.at(-1)!.toFixed(2)}).`,
    '',
    '| | ours | PyTorch, transformers |',
    '| --- | --- | --- |',
    row('start to end, s', ({ wall }) => wall, 1),
    ...PARTS.map((part) => row(`${part}, s`, ({ seconds }) => seconds[part], 2)),
    row('binding, unseen, known phrasings', ({ binding }) => binding.known, 3),
    row('binding, unseen, held-out phrasings', ({ binding }) => binding.heldOut, 3),
    row('swaps that succeed', ({ trials, successes }) => successes / trials, 3),
  ].join('\n')}\n`;
}
