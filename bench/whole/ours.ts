/** Our side: `ours.ts DIRECTORY CACHE` prints one line of JSON, `Done`. */
import { join } from 'node:path';
import { measureBinding } from '../../src/engine/align/bind.ts';
import { type CapturedPrompt, capturePrompts } from '../../src/engine/align/captured.ts';
import { splitPopulations } from '../../src/engine/align/population.ts';
import { trainOnPrompts } from '../../src/engine/align/training.ts';
import type { SweepCell } from '../../src/engine/contract/swapSweep.ts';
import { sweepSettings } from '../../src/engine/contract/swapSweepSettings.ts';
import { conceptPairs } from '../../src/engine/edits/editors.ts';
import { runSwapSweep } from '../../src/engine/edits/sweep.ts';
import { loadLanguageModel } from '../../src/engine/model/languageModel.ts';
import { stackRows } from '../../src/engine/rows.ts';
import { writeSae } from '../../src/engine/sae/file.ts';
import { Sae } from '../../src/engine/sae/sae.ts';
import { loadBenchBackend } from '../backend.ts';
import { quietContext } from '../quietContext.ts';
import { ALPHA, type Done, readDataset, readModel, SETTINGS, SWAPS_PER_PAIR } from './job.ts';

const [directory, cache] = process.argv.slice(2) as [string, string];
const seconds = {} as Done['seconds'];
let last = performance.now();
const note = (part: keyof Done['seconds']) => {
  const now = performance.now();
  seconds[part] = (now - last) / 1000;
  last = now;
};

await loadBenchBackend('auto', cache);
const ref = await readModel(directory);
const model = await loadLanguageModel(ref);
const dataset = readDataset();
const context = quietContext(directory);
note('load');
const captured = await capturePrompts(model, splitPopulations(dataset, SETTINGS), SETTINGS, context);
note('capture');
const training = { model, dataset, captured, settings: SETTINGS, slots: true };
const { stored } = await trainOnPrompts(training, context, () => {});
note('train');
const sae = new Sae(stored);
const binding = { known: bindingOn('TRAIN'), heldOut: bindingOn('TEST_OOD') };
note('bind');
const { trials, successes } = await swap();
note('swap');
console.log(JSON.stringify({ seconds, binding, trials, successes } satisfies Done));

function bindingOn(split: CapturedPrompt['split']): number {
  const own = captured.UNSEEN.filter((prompt) => prompt.split === split);
  const slots = sae.slots(stackRows(own, model.config.dModel));
  const concepts = own.map(({ concepts }) => concepts[0]!);
  return measureBinding(slots, concepts, dataset.concepts.length).accuracy;
}

async function swap(): Promise<Pick<Done, 'trials' | 'successes'>> {
  const file = join(directory, 'sae.safetensors');
  await writeSae(file, stored);
  const pairs = conceptPairs(dataset.concepts.length);
  const cells: SweepCell[] = [];
  const settings = sweepSettings.parse({
    ...{ methods: ['LATENT_DECODE'], alphas: [ALPHA], controls: [], population: 'UNSEEN', split: 'TRAIN' },
    ...{ promptsPerPair: SWAPS_PER_PAIR, isolationPerPair: 0 },
  });
  const job = { settings, model: ref, sae: file, dataset, pairs, baseline: null, done: [] };
  await runSwapSweep(
    { kind: 'SWAP_SWEEP', ...job },
    quietContext(directory, { part: (cell) => cells.push(cell) }),
  );
  const found = cells.flatMap((cell) => cell.pairs);
  const sum = (key: 'trials' | 'successes') => found.reduce((total, pair) => total + pair[key], 0);
  return { trials: sum('trials'), successes: sum('successes') };
}
