/**
 * The figures of the README, measured with the engine alone: for each seed a biography dataset and a language model
 * at their defaults, then an alignment with each preset. Usage: `npx tsx bench/figures.ts --seeds 0,1,2`; further
 * options: `--people`, `--backend auto|native|wasm`, `--cache DIR` (of the native engine), `--models DIR` (keeps the
 * trained language models and reuses them), `--settings JSON` (over both presets, for experiments).
 */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { generateBiographies } from '../src/data/biography.ts';
import { runAlignment } from '../src/engine/align/align.ts';
import type { AlignmentResult, SwapMeasure } from '../src/engine/contract/alignment.ts';
import { resolveAlignmentSettings } from '../src/engine/contract/alignmentPresets.ts';
import { preset as presets } from '../src/engine/contract/alignmentSettings.ts';
import type { EngineDataset, Split } from '../src/engine/contract/dataset.ts';
import type { ModelRef, ModelResult } from '../src/engine/contract/model.ts';
import { modelSettings } from '../src/engine/contract/modelSettings.ts';
import type { BackendChoice } from '../src/engine/contract/protocol.ts';
import { trainModel } from '../src/engine/model/train.ts';
import { loadBenchBackend } from './backend.ts';
import { quietContext } from './quietContext.ts';

interface Measured {
  ref: ModelRef;
  accuracy: ModelResult['accuracy'];
  seconds: number;
}

const { values: options } = parseArgs({
  options: {
    seeds: { type: 'string', default: '0,1,2' },
    people: { type: 'string', default: '100' },
    backend: { type: 'string', default: 'auto' },
    cache: { type: 'string', default: join(homedir(), '.cache', 'alignsae') },
    models: { type: 'string' },
    settings: { type: 'string', default: '{}' },
  },
});

const ALIGNMENT_COLUMNS = [
  'binding',
  'diagonal',
  'FVU',
  'L0',
  'alpha',
  'unseen',
  'unseen ood',
  'random',
  'seen',
  's',
];

await main();

async function main(): Promise<void> {
  const { backend, fallbackReason } = await loadBenchBackend(options.backend as BackendChoice, options.cache);
  console.log(`backend ${backend}${fallbackReason ? ` (${fallbackReason})` : ''}`);
  const workDir = await mkdtemp(join(tmpdir(), 'figures-'));
  try {
    console.log(row('seed', 'preset', 'LM train', 'LM ood', 'LM s', ...ALIGNMENT_COLUMNS));
    for (const seed of options.seeds.split(',').map(Number)) await measureSeed(seed, workDir);
  } finally {
    await rm(workDir, { recursive: true });
  }
}

async function measureSeed(seed: number, workDir: string): Promise<void> {
  const dataset = generateBiographies({ people: Number(options.people), seed });
  const model = await obtainModel(seed, dataset, workDir);
  const { accuracy } = model;
  const modelCells = [percent(accuracy.TRAIN), percent(accuracy.TEST_OOD), model.seconds.toFixed(0)];
  for (const preset of presets.options) {
    const settings = resolveAlignmentSettings({ preset, seed, ...JSON.parse(options.settings) });
    const started = performance.now();
    const job = { kind: 'ALIGNMENT', settings, model: model.ref, dataset } as const;
    const result = await runAlignment(job, quietContext(workDir, { log }));
    const seconds = (performance.now() - started) / 1000;
    console.log(row(String(seed), preset, ...modelCells, ...alignmentCells(result), seconds.toFixed(0)));
  }
}

function alignmentCells({ measures, swaps, chosenAlpha }: AlignmentResult): string[] {
  const ood = measures.find(({ split }) => split === 'TEST_OOD')!;
  const swap = (
    control: SwapMeasure['control'],
    population: SwapMeasure['population'],
    ...splits: Split[]
  ) => {
    const found = swaps.filter(
      (s) => s.control === control && s.population === population && splits.includes(s.split),
    );
    const sum = (key: 'trials' | 'successes') => found.reduce((total, s) => total + s[key], 0);
    return percent(sum('successes') / sum('trials'));
  };
  return [
    percent(ood.accuracy),
    percent(ood.diagonalAccuracy),
    ood.fvu.toFixed(3),
    ood.l0.toFixed(0),
    String(chosenAlpha),
    swap('CONCEPT', 'UNSEEN', 'TRAIN'),
    swap('CONCEPT', 'UNSEEN', 'TEST_OOD'),
    swap('RANDOM_LATENT', 'UNSEEN', 'TRAIN', 'TEST_OOD'),
    swap('CONCEPT', 'SEEN', 'TRAIN'),
  ];
}

async function obtainModel(seed: number, dataset: EngineDataset, workDir: string): Promise<Measured> {
  const directory = options.models ? join(options.models, `seed-${seed}`) : workDir;
  const record = join(directory, 'model.json');
  if (options.models) {
    const kept = await readFile(record, 'utf8').catch(() => null);
    if (kept) return JSON.parse(kept) as Measured;
    await mkdir(directory, { recursive: true });
  }
  const started = performance.now();
  const job = { kind: 'MODEL', settings: modelSettings.parse({ seed }), dataset } as const;
  const { weights, config, tokenizer, accuracy } = await trainModel(job, quietContext(directory, { log }));
  const seconds = (performance.now() - started) / 1000;
  const measured = { ref: { weights: weights.path, config, tokenizer }, accuracy, seconds };
  if (options.models) await writeFile(record, JSON.stringify(measured));
  return measured;
}

/** What goes wrong, but not how it goes. */
function log(level: string, message: string): void {
  if (level !== 'INFO') console.error(level, message);
}

function percent(share: number | undefined): string {
  return share === undefined || Number.isNaN(share) ? '-' : share.toFixed(3);
}

function row(...cells: string[]): string {
  return cells
    .map((cell) => cell.padEnd(cell === 'COUNTERFACTUAL' || cell === 'PAPER' || cell === 'preset' ? 15 : 10))
    .join('');
}
