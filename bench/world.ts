/**
 * Measures swaps of what a real language model knows: SmolLM2-135M and the countries or verbs of `data/world`. Every
 * alignment is a file in `.data/world/<subject>`; whatever is there already is not measured again, and the report is made
 * of all of them. `npx tsx bench/world.ts [--subject VERBS] [--seeds 0,1,2] [--layers 9,11,13]`: one alignment a seed, and at
 * the first seed one a layer. Takes 5 to 20 minutes an alignment on two cores.
 */
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { readConfig } from '../src/config.ts';
import { readWorldDataset, worldSubject } from '../src/data/world.ts';
import { fetchSmolLm2 } from '../src/demo/smollm2.ts';
import type { AlignmentSettingsInput } from '../src/engine/contract/alignmentSettings.ts';
import { loadLanguageModel } from '../src/engine/model/languageModel.ts';
import { promptedBy } from '../src/engine/model/prompting.ts';
import { openFiles } from '../src/formats/huggingFace/files.ts';
import { openCheckpoint } from '../src/formats/huggingFace/importModel.ts';
import { writeChunks } from '../src/formats/safetensors.ts';
import { loadBenchBackend } from './backend.ts';
import { quietContext } from './quietContext.ts';
import { knownPart, openKnowledge } from './world/knowledge.ts';
import { type KeptStudy, renderWorld } from './world/report.ts';
import { type Studied, studySeed } from './world/study.ts';
import { readTexts } from './world/texts.ts';

const { values: options } = parseArgs({
  options: {
    subject: { type: 'string', default: 'COUNTRIES' },
    seeds: { type: 'string', default: '0,1,2,3,4' },
    layers: { type: 'string', default: '' },
  },
});
const numbers = (list: string) => list.split(',').filter(Boolean).map(Number);
const subject = worldSubject.parse(options.subject.toUpperCase());
const STORE = fileURLToPath(new URL(`../.data/world/${subject.toLowerCase()}`, import.meta.url));

const context = quietContext(STORE, { log: (_level, message) => console.log(message) });

const { cacheDir } = readConfig();
await mkdir(STORE, { recursive: true });
await loadBenchBackend('auto', cacheDir);
const studied = await prepare();
const [first = 0, ...others] = numbers(options.seeds);
await study(`seed-${first}`, first, {});
for (const layer of numbers(options.layers)) await study(`layer-${layer}`, first, { layer });
for (const seed of others) await study(`seed-${seed}`, seed, {});
await writeFile(join(STORE, 'report.md'), renderWorld(await readAll(), studied.shares));
console.log(`The report is ${join(STORE, 'report.md')}`);

async function prepare(): Promise<Studied & { shares: Record<string, number> }> {
  const path = await fetchSmolLm2(cacheDir, process.env, console.log);
  const files = openFiles(async () => path);
  const { config, tokenizer, weights } = await openCheckpoint(files, 'SmolLM2.gguf');
  const file = join(STORE, 'model.safetensors');
  await writeChunks(file, weights.chunks());
  await files.close();
  const alone = await loadLanguageModel({ weights: file, config, tokenizer });
  const world = await readWorldDataset({ subject });
  const model = promptedBy(alone, world);
  const knowledge = await openKnowledge(model, join(STORE, 'known.json'));
  const { dataset, shares } = await knownPart(world, knowledge);
  const { quiet, judged } = await readTexts();
  return { alone, model, knowledge, shares, dataset: { ...dataset, texts: quiet }, texts: judged };
}

async function study(name: string, seed: number, changes: AlignmentSettingsInput): Promise<void> {
  const path = join(STORE, `${name}.json`);
  if (await readFile(path).catch(() => null)) return;
  console.log(`${new Date().toISOString()} ${name}`);
  const measured = await studySeed(studied, seed, changes, context);
  const kept: KeptStudy = { name, ...measured };
  await writeFile(path, `${JSON.stringify(kept, null, 1)}\n`);
  console.log(JSON.stringify(kept));
}

async function readAll(): Promise<KeptStudy[]> {
  const names = (await readdir(STORE)).filter((name) => /^(seed|layer)-\d+\.json$/.test(name)).sort();
  return Promise.all(
    names.map(async (name) => JSON.parse(await readFile(join(STORE, name), 'utf8')) as KeptStudy),
  );
}
