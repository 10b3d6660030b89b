/**
 * The figures of two-hop models, measured with the engine alone: trains by a recipe, analyses checkpoints, swaps at the
 * last one, and prints tables in Markdown. `npx tsx bench/twoHop.ts --recipe GROKKING|PUBLISHED --seed 0`; further
 * options: `--backend auto|native|wasm`, `--cache DIR` (of the native engine), `--checkpoints 20`.
 */
import { createReadStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as turnOfTheLoop } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { collectDataset, type DatasetItem } from '../src/engine/data/items.ts';
import { openTwoHop, TWO_HOP_FILES } from '../src/engine/data/two-hop.ts';
import { generateTwoHop } from '../src/engine/data/two-hop-generator.ts';
import { spellOutSteps } from '../src/engine/data/two-hop-steps.ts';
import type { EngineDataset } from '../src/engine/dataset.ts';
import { analyseCheckpoint } from '../src/engine/grok/analyse.ts';
import { TWO_HOP_RECIPES } from '../src/engine/grok/defaults.ts';
import type { GrokkingPoint } from '../src/engine/grok/job.ts';
import { grokSettings } from '../src/engine/grok/settings.ts';
import { bestOf, type HopSwapMeasure, ratioOf } from '../src/engine/grok/swaps/job.ts';
import { hopSwapSettings } from '../src/engine/grok/swaps/settings.ts';
import { measureHopSwaps } from '../src/engine/grok/swaps/swaps.ts';
import type { ModelSnapshot } from '../src/engine/model/job.ts';
import { loadLanguageModel } from '../src/engine/model/languageModel.ts';
import { modelSettings } from '../src/engine/model/settings.ts';
import { trainModel } from '../src/engine/model/train.ts';
import type { BackendChoice, JobContext } from '../src/engine/protocol.ts';
import { loadBenchBackend } from './backend.ts';

const { values: options } = parseArgs({
  options: {
    recipe: { type: 'string', default: 'GROKKING' },
    seed: { type: 'string', default: '0' },
    checkpoints: { type: 'string', default: '20' },
    backend: { type: 'string', default: 'auto' },
    cache: { type: 'string', default: join(homedir(), '.cache', 'alignsae') },
  },
});

await loadBenchBackend(options.backend as BackendChoice, options.cache);
const workDir = await mkdtemp(join(tmpdir(), 'two-hop-'));
try {
  await measure();
} finally {
  await rm(workDir, { recursive: true });
}

async function measure(): Promise<void> {
  const seed = Number(options.seed);
  const recipe = TWO_HOP_RECIPES[options.recipe as keyof typeof TWO_HOP_RECIPES];
  const dataset = recipe.data ? generateTwoHop({ ...recipe.data, seed }) : await readPublished();
  const settings = modelSettings.parse({ ...recipe.model, seed });
  const grok = grokSettings.parse({ ...recipe.analysis, seed });
  console.log(`${options.recipe} seed ${seed} ${JSON.stringify(recipe)}\n`);
  const snapshots: ModelSnapshot[] = [];
  const context = contextOf(snapshots);
  const every = Math.ceil(settings.steps / Number(options.checkpoints));
  const keepSteps = Array.from({ length: Math.floor(settings.steps / every) + 1 }, (_, i) => i * every);
  const begun = performance.now();
  const { accuracy } = await trainModel({ kind: 'MODEL', settings, dataset, keepSteps }, context);
  console.log(`trained in ${since(begun)}: ${JSON.stringify(accuracy)}\n`);
  printRow('step', 'train', 'held-out', 'one-hop', 'loss', '‖w‖', 'margin', 'top-1', 'diagonal', 'ablation');
  printRow(...Array<string>(10).fill('---'));
  for (const { step, weights, config, tokenizer } of snapshots) {
    const model = await loadLanguageModel({ weights: weights.path, config, tokenizer });
    const { point, saes } = await analyseCheckpoint(model, dataset, grok, context);
    printPoint(step, point);
    if (step === keepSteps.at(-1)) {
      console.log(`\nall checkpoints analysed ${since(begun)} after the beginning\n`);
      printSwaps(
        await measureHopSwaps(
          model,
          saes,
          dataset,
          { grok, swaps: hopSwapSettings.parse({}) },
          context,
          () => {},
        ),
      );
    }
    model.dispose();
  }
  console.log(`\nin all ${since(begun)}`);
}

function contextOf(snapshots: ModelSnapshot[]): JobContext {
  return {
    workDir,
    resumeFrom: null,
    reporter: {
      metrics: () => {},
      progress: () => {},
      log: (level, message) => level !== 'INFO' && console.error(level, message),
      part: () => {},
      snapshot: (snapshot) => snapshots.push(snapshot),
      checkpointDue: () => false,
      checkpoint: async () => {},
      breathe: async () => {
        await turnOfTheLoop();
      },
    },
  };
}

async function readPublished(): Promise<EngineDataset> {
  const open = (name: string) => createReadStream(new URL(`../data/two-hop/${name}`, import.meta.url));
  const files = {
    facts: open(TWO_HOP_FILES.facts),
    train: open(TWO_HOP_FILES.train),
    validation: open(TWO_HOP_FILES.validation),
  };
  const { ontology, items } = spellOutSteps(await openTwoHop(files));
  const stepwise: DatasetItem[] = [];
  for await (const item of items) stepwise.push(item);
  return collectDataset(ontology.concepts, stepwise);
}

function printPoint(step: number, point: GrokkingPoint): void {
  const share = ({ correct, questions }: { correct: number; questions: number }) =>
    (correct / questions).toFixed(3);
  const hops = (pick: (hop: GrokkingPoint['hops'][number]) => number) =>
    point.hops.map((hop) => pick(hop).toFixed(3)).join(' / ');
  printRow(
    step,
    share(point.train),
    share(point.heldOut),
    point.oneHop ? share(point.oneHop) : '–',
    point.loss.toFixed(4),
    point.weightNorm.toFixed(1),
    point.logitMargin.toFixed(2),
    hops(({ top1 }) => top1),
    hops(({ diagonalStrength }) => diagonalStrength),
    hops(({ ablationEffect }) => ablationEffect),
  );
}

function printSwaps(measures: readonly HopSwapMeasure[]): void {
  printRow('hop', 'edited', 'method', 'alpha', 'shown pairs', 'withheld pairs', 'isolation');
  printRow(...Array<string>(7).fill('---'));
  const rate = (n: number, of: number) => `${(n / Math.max(1, of)).toFixed(3)} of ${of}`;
  for (const { hop, edited, method, alpha, shown, withheld, isolation } of measures)
    printRow(
      ...[hop, edited, method, alpha, rate(shown.successes, shown.trials)],
      ...[rate(withheld.successes, withheld.trials), rate(isolation.kept, isolation.questions)],
    );
  for (const hop of [1, 2]) {
    const slots = bestOf(measures, hop, 'CONCEPT')!.withheld;
    const unsupervised = bestOf(measures, hop, 'UNSUPERVISED_LATENT')!.withheld;
    const ratio = ratioOf(slots, unsupervised);
    console.log(
      `\nhop ${hop}, withheld pairs: slots ${rate(slots.successes, slots.trials)}, unsupervised ${rate(unsupervised.successes, unsupervised.trials)}, ratio ${ratio?.toFixed(2) ?? '–'}`,
    );
  }
}

function printRow(...cells: readonly (string | number)[]): void {
  console.log(`| ${cells.join(' | ')} |`);
}

function since(begun: number): string {
  return `${((performance.now() - begun) / 1000).toFixed(1)} s`;
}
