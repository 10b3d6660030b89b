/** What both sides are given: a trained model, prompts by part, and settings, written once. */
import { createWriteStream } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { generateBiographies } from '../../src/data/biography.ts';
import { splitPopulations } from '../../src/engine/align/population.ts';
import { resolveAlignmentSettings } from '../../src/engine/contract/alignmentPresets.ts';
import type { EngineDataset, Prompt } from '../../src/engine/contract/dataset.ts';
import type { ModelRef } from '../../src/engine/contract/model.ts';
import { modelSettings } from '../../src/engine/contract/modelSettings.ts';
import { trainModel } from '../../src/engine/model/train.ts';
import { EXPORTED_FILES, openExported } from '../../src/formats/huggingFace/exportModel.ts';
import { quietContext } from '../quietContext.ts';

export const SETTINGS = resolveAlignmentSettings({ preset: 'PAPER', layer: 1 });
export const ALPHA = 2;
/** 420 swaps, for 30 pairs of concepts. */
export const SWAPS_PER_PAIR = 14;

/** Of the directory: what the peer reads. */
export const EXPORTED = 'exported';

/** What one side answers. */
export interface Done {
  /** Of each part of the work. */
  seconds: Record<'load' | 'capture' | 'train' | 'bind' | 'swap', number>;
  /** On unseen entities. */
  binding: Record<'known' | 'heldOut', number>;
  trials: number;
  successes: number;
}

export const readDataset = (): EngineDataset => generateBiographies({ people: 200, seed: 0 });
export const readModel = async (directory: string): Promise<ModelRef> =>
  JSON.parse(await readFile(join(directory, 'model.json'), 'utf8'));

/** Trains the model that both sides align, unless the directory has it, and writes the peer's files. */
export async function writeJob(directory: string): Promise<void> {
  await mkdir(directory, { recursive: true });
  const dataset = readDataset();
  const model = await readModel(directory).catch(() => makeModel(dataset, directory));
  const exported = join(directory, EXPORTED);
  await mkdir(exported, { recursive: true });
  for (const name of EXPORTED_FILES) {
    const { chunks } = await openExported(model, name);
    await pipeline(Readable.from(chunks()), createWriteStream(join(exported, name)));
  }
  const { populationOf, prompts } = splitPopulations(dataset, SETTINGS);
  const given = prompts.flatMap((prompt) => {
    const part = partOf(prompt, populationOf(prompt.entity));
    const { entity, prompt: text, answer, concepts } = prompt;
    return part ? [{ part, entity, prompt: text, answer, concept: concepts[0]! }] : [];
  });
  const job = {
    settings: { ...SETTINGS, alpha: ALPHA, decoderScale: 0.3 },
    nConcepts: dataset.concepts.length,
    swapsPerPair: SWAPS_PER_PAIR,
    prompts: given,
  };
  await writeFile(join(exported, 'job.json'), JSON.stringify(job));
}

async function makeModel(dataset: EngineDataset, directory: string): Promise<ModelRef> {
  const job = { kind: 'MODEL', settings: modelSettings.parse({}), dataset } as const;
  const { weights, config, tokenizer } = await trainModel(job, quietContext(directory));
  const model = { weights: weights.path, config, tokenizer };
  await writeFile(join(directory, 'model.json'), JSON.stringify(model));
  return model;
}

/** As an alignment uses them; null for the prompts that it does not use. */
function partOf({ split }: Prompt, population: 'SEEN' | 'VALIDATION' | 'UNSEEN'): string | null {
  if (population === 'UNSEEN') return { TRAIN: 'known', TEST_OOD: 'heldOut', VALIDATION: null }[split];
  if (split === 'VALIDATION') return 'validation';
  return population === 'SEEN' && split === 'TRAIN' ? 'train' : null;
}
