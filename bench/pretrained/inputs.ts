/**
 * Writes the files that the comparison imports: the model, what it knows as JSONL, and plain text. A process of its own:
 * `inputs.ts IMPORT_DIR`, which tells `Inputs` over IPC.
 */
import { createWriteStream } from 'node:fs';
import { copyFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { readConfig } from '../../src/config.ts';
import { readWorldDataset } from '../../src/data/world.ts';
import { fetchSmolLm2 } from '../../src/demo/smollm2.ts';
import type { EngineDataset, Text } from '../../src/engine/contract/dataset.ts';
import { loadLanguageModel } from '../../src/engine/model/languageModel.ts';
import { promptedBy } from '../../src/engine/model/prompting.ts';
import { openFiles } from '../../src/formats/huggingFace/files.ts';
import { openCheckpoint } from '../../src/formats/huggingFace/importModel.ts';
import { writeChunks } from '../../src/formats/safetensors.ts';
import { loadBenchBackend } from '../backend.ts';
import { documents } from '../texts/documents.ts';
import { knownPart, openKnowledge } from '../world/knowledge.ts';

import { readTexts } from '../world/texts.ts';

/** Names of files in the import directory, and what the dataset's prompts stand behind. */
export interface Inputs {
  model: string;
  dataset: string;
  /** Other countries, on which the SAE that is imported was measured. */
  elsewhere: string;
  corpus: string;
  prefix: string;
  answerEnd: string;
}

/** What was asked of the model; `bench/world.ts` keeps it there too. */
const KNOWN = fileURLToPath(new URL('../../.data/world/countries/known.json', import.meta.url));

/** Countries of each dataset: few, for the model runs on every prompt of each run. */
const COUNTRIES = { dataset: 90, elsewhere: 12 };
/** Of each split, so many phrasings. */
const PHRASINGS = { TRAIN: 3, VALIDATION: 0, TEST_OOD: 2 };

const importDir = process.argv[2]!;
process.send!(await writeInputs(), () => process.exit(0));

async function writeInputs(): Promise<Inputs> {
  const { cacheDir } = readConfig();
  const model = 'smollm2.gguf';
  await copyFile(await fetchSmolLm2(cacheDir, process.env, console.log), join(importDir, model));
  const countries = await readWorldDataset({ subject: 'COUNTRIES' });
  const known = fewPhrasings(await knownBy(join(importDir, model), countries, cacheDir));
  const { quiet } = await readTexts();
  const entities = [...new Set(known.prompts.map(({ entity }) => entity))];
  const [files, counts] = [{ dataset: 'countries.jsonl', elsewhere: 'others.jsonl' }, COUNTRIES];
  await writePart(files.dataset, known, entities.slice(0, counts.dataset), quiet);
  await writePart(files.elsewhere, known, entities.slice(-counts.elsewhere), []);
  const lines = async function* () {
    for await (const text of documents()) yield `${JSON.stringify({ text })}\n`;
  };
  const corpus = 'texts.jsonl';
  await pipeline(lines, createWriteStream(join(importDir, corpus)));
  return { model, ...files, corpus, prefix: countries.prefix!, answerEnd: countries.answerEnd! };
}

function fewPhrasings(dataset: EngineDataset): EngineDataset {
  const counts = new Map<string, number>();
  const prompts = dataset.prompts.filter(({ entity, concepts, split }) => {
    const key = `${entity}/${concepts[0]}/${split}`;
    counts.set(key, (counts.get(key) ?? 0) + 1);
    return counts.get(key)! <= PHRASINGS[split];
  });
  return { ...dataset, prompts };
}

async function writePart(
  name: string,
  { facts, prompts, ...dataset }: EngineDataset,
  entities: readonly string[],
  texts: readonly Text[],
): Promise<void> {
  const isIn = ({ entity }: { entity: string }) => entities.includes(entity);
  const part = { ...dataset, facts: facts.filter(isIn), prompts: prompts.filter(isIn), texts };
  await writeFile(join(importDir, name), toLines(part));
}

/** The part of the dataset that the model answers right by itself. */
async function knownBy(path: string, dataset: EngineDataset, cacheDir: string): Promise<EngineDataset> {
  await loadBenchBackend('auto', cacheDir);
  const files = openFiles(async () => path);
  const { config, tokenizer, weights } = await openCheckpoint(files, 'SmolLM2.gguf');
  const file = `${path}.safetensors`;
  await writeChunks(file, weights.chunks());
  await files.close();
  const alone = await loadLanguageModel({ weights: file, config, tokenizer });
  const known = await knownPart(dataset, await openKnowledge(promptedBy(alone, dataset), KNOWN));
  alone.dispose();
  return known.dataset;
}

/** As `importDataset` reads it: of each fact the usual value. */
function toLines({ concepts, facts, prompts, texts }: EngineDataset): string {
  const key = (concept: number) => concepts[concept]!.key;
  const usual = facts.filter(
    ({ entity, concept }, i) => facts.findIndex((f) => f.entity === entity && f.concept === concept) === i,
  );
  return [
    { type: 'ontology', slug: 'countries' },
    ...concepts.map((concept) => ({ type: 'concept', key: concept.key })),
    ...usual.map((fact) => ({ type: 'fact', ...fact, concept: key(fact.concept) })),
    ...prompts.map(({ prompt, answer, entity, template, split, concepts: [concept] }) => ({
      ...{ type: 'prompt', prompt, answer, entity, template, split, concept: key(concept!) },
    })),
    ...texts.map(({ text, entity }) => ({ type: 'text', text, entity })),
  ]
    .map((line) => `${JSON.stringify(line)}\n`)
    .join('');
}
