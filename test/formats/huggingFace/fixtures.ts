/** Checkpoints that transformers wrote (`test/fixtures/<set>/make.py`), with what it computes from them. */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type LanguageModel, loadLanguageModel } from '../../../src/engine/model/languageModel.ts';
import { openFiles } from '../../../src/formats/huggingFace/files.ts';
import { type ImportedModel, openCheckpoint } from '../../../src/formats/huggingFace/importModel.ts';
import { writeChunks } from '../../../src/formats/safetensors.ts';

/** One of every kind of decoder. */
export const ARCHITECTURES = fileURLToPath(new URL('../../fixtures/architectures', import.meta.url));

/** What transformers computes for a text: at its last token, and greedily from there. */
export interface ExpectedCase {
  text: string;
  tokens: number[];
  logits: number[];
  resid_post: number[][];
  greedy: number[];
}

export async function expectedCases(directory: string): Promise<ExpectedCase[]> {
  return JSON.parse(await readFile(join(directory, 'expected.json'), 'utf8')).cases;
}

/** The files of a directory as a checkpoint's; the caller closes them. */
export function openDirectory(directory: string) {
  const located = (file: string) => join(directory, file);
  return openFiles(async (file) => (existsSync(located(file)) ? located(file) : null));
}

export async function withCheckpoint<T>(
  directory: string,
  use: (model: ImportedModel) => Promise<T>,
): Promise<T> {
  const files = openDirectory(directory);
  try {
    return await use(await openCheckpoint(files));
  } finally {
    await files.close();
  }
}

/** Imports a checkpoint into a file at `path`. */
export async function importInto(path: string, directory: string) {
  return withCheckpoint(directory, async ({ config, tokenizer, weights }) => {
    await writeChunks(path, weights.chunks());
    return { weights: path, config, tokenizer };
  });
}

/** Imports and loads it; the caller disposes. */
export async function loadInto(path: string, directory: string): Promise<LanguageModel> {
  return loadLanguageModel(await importInto(path, directory));
}

/** The largest difference, against the largest of the numbers expected. */
export function relativeError(found: readonly number[], expected: readonly number[]): number {
  const scale = Math.max(...expected.map(Math.abs));
  return Math.max(...expected.map((value, i) => Math.abs(value - found[i]!))) / scale;
}
