/**
 * Measures swaps of what a real language model knows: SmolLM2-135M and the countries or verbs of `data/world`. Every
 * alignment is a file in `.data/world/<subject>`; whatever is there already is not measured again, and the report is made
 * of all of them. `npx tsx bench/world.ts [--subject VERBS] [--seeds 0,1,2] [--preset PAPER] [--layers 1,3,5]`: one alignment
 * a seed, which takes 4 to 10 minutes on two cores; PAPER is measured by its slots alone, on the swaps of the other preset.
 * With layers, one a layer instead, of the first seed, on fewer entities, phrasings, texts, steps and swaps, for all of
 * which the model runs once.
 */
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { readConfig } from '../src/config.ts';
import { readWorldDataset, worldSubject } from '../src/data/world.ts';
import { loadLanguageModel } from '../src/engine/model/languageModel.ts';
import { promptedBy } from '../src/engine/model/prompting.ts';
import { loadBenchBackend } from './backend.ts';
import { quietContext } from './quietContext.ts';
import { writeSmolLm2 } from './smollm2.ts';
import { knownPart, lessOf, openKnowledge } from './world/knowledge.ts';
import { Readings } from './world/readings.ts';
import { type KeptStudy, type Known, renderWorld } from './world/report.ts';
import { RECIPES, type Studied, studySeed } from './world/study.ts';
import { PLANS, type SwapPlan } from './world/swaps.ts';
import { readTexts } from './world/texts.ts';

const { values: options } = parseArgs({
  options: {
    subject: { type: 'string', default: 'COUNTRIES' },
    seeds: { type: 'string', default: '0,1,2,3,4' },
    preset: { type: 'string', default: 'COUNTERFACTUAL' },
    layers: { type: 'string', default: '' },
  },
});
/** Countries or verbs that layers are compared on. */
const LESS_ENTITIES = 100;
const numbers = (list: string) => list.split(',').filter(Boolean).map(Number);
const subject = worldSubject.parse(options.subject.toUpperCase());
const STORE = fileURLToPath(new URL(`../.data/world/${subject.toLowerCase()}`, import.meta.url));

const context = quietContext(STORE, { log: (_level, message) => console.log(message) });

const { cacheDir } = readConfig();
await mkdir(STORE, { recursive: true });
await loadBenchBackend('auto', cacheDir);
const todo = await listStudies();
const { known, ...studied } = await prepare(todo.map(({ settings }) => settings.layer ?? 0));
for (const { name, settings, plan } of todo) {
  console.log(`${new Date().toISOString()} ${name}`);
  const kept: KeptStudy = { name, ...(await studySeed(studied, settings, plan, context)) };
  await writeFile(join(STORE, `${name}.json`), `${JSON.stringify(kept, null, 1)}\n`);
  console.log(JSON.stringify(kept));
  await writeFile(join(STORE, 'report.md'), renderWorld(await readAll(), known));
}
console.log(`The report is ${join(STORE, 'report.md')}`);

/** What was asked for and is not there yet. */
async function listStudies() {
  const { preset } = options;
  if (preset !== 'PAPER' && preset !== 'COUNTERFACTUAL')
    throw new Error(`--preset accepts PAPER or COUNTERFACTUAL; got ${preset}`);
  const seeds = numbers(options.seeds);
  const [seed = 0] = seeds;
  const recipe = RECIPES[preset];
  const kind = preset === 'PAPER' ? 'paper' : 'seed';
  const plan: SwapPlan = preset === 'PAPER' ? PLANS.SLOTS : PLANS.WHOLE;
  const layers = numbers(options.layers);
  const all =
    layers.length === 0
      ? seeds.map((seed) => ({ name: `${kind}-${seed}`, settings: { ...recipe, seed }, plan }))
      : layers.map((layer) => ({
          name: `layer-${layer}`,
          settings: { ...recipe, seed, layer, posttrain: { steps: 1000 } },
          plan: PLANS.LAYER as SwapPlan,
        }));
  const there = new Set(await readdir(STORE));
  return all.filter(({ name }) => !there.has(`${name}.json`));
}

async function prepare(layers: readonly number[]): Promise<Studied & { known: Known }> {
  const alone = await loadLanguageModel(
    await writeSmolLm2(cacheDir, join(STORE, 'model.safetensors'), console.log),
  );
  const isLess = options.layers !== '';
  const world = await readWorldDataset({ subject, ...(isLess && { entities: LESS_ENTITIES }) });
  const model = promptedBy(alone, world);
  const knowledge = await openKnowledge(model, join(STORE, 'known.json'));
  const { dataset, shares } = await knownPart(world, knowledge);
  const { quiet, judged } = await readTexts();
  const read = { ...dataset, texts: quiet };
  return {
    ...{ alone, model, knowledge, readings: new Readings(layers) },
    dataset: isLess ? lessOf(read) : read,
    texts: judged,
    known: { entities: subject.toLowerCase(), shares },
  };
}

async function readAll(): Promise<KeptStudy[]> {
  const names = (await readdir(STORE)).filter((name) => /^(seed|paper|layer)-\d+\.json$/.test(name)).sort();
  return Promise.all(
    names.map(async (name) => JSON.parse(await readFile(join(STORE, name), 'utf8')) as KeptStudy),
  );
}
