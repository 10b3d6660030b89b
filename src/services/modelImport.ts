/** Models that were trained elsewhere: Hugging Face checkpoints and GGUF files, from a directory or from the hub. */
import { basename, dirname, join } from 'node:path';
import { shortText } from '../data/text.ts';
import type { ArtifactStore } from '../db/artifactStore.ts';
import type { Db } from '../db/client.ts';
import { storeArtifact } from '../db/queries/artifacts.ts';
import { type ModelSource, models } from '../db/tables/index.ts';
import { AppError, invalidInput, parseOrThrow } from '../errors.ts';
import type { CheckpointFiles } from '../formats/huggingFace/checkpoint.ts';
import { openFiles } from '../formats/huggingFace/files.ts';
import { openCheckpoint } from '../formats/huggingFace/importModel.ts';
import { writeChunks } from '../formats/safetensors.ts';
import { type HubOptions, openRepository } from './hub.ts';
import { findImportPath, resolveImportPath } from './importSource.ts';
import type { Model } from './model.ts';

export interface NewImportedModel {
  /** A directory or a GGUF file, relative to the import directory. */
  path?: string;
  /** A repository on the hub. */
  repo?: string;
  /** Of the repository; `main` if left out. */
  revision?: string;
  /** A GGUF file of the repository; its safetensors checkpoint if left out. */
  file?: string;
  name?: string;
}

export interface ModelImportOptions {
  store: ArtifactStore;
  importDir: string;
  hub: HubOptions;
  limits: { modelBytes: number };
}

/** Names of GGUF files, in folders or not. */
const GGUF = /^[\w.-][\w ./-]*\.gguf$/i;

interface Origin {
  /** Which field of the input it is. */
  field: 'path' | 'repo';
  source: ModelSource;
  /** Which of the files is the model, if it is a GGUF file. */
  gguf?: string;
  files: CheckpointFiles & { close?(): Promise<void> };
}

/**
 * Imports a checkpoint, whole or not at all; resolves when it is stored.
 * @throws AppError INVALID_INPUT naming the field and what about it is not acceptable; UNAVAILABLE when the hub cannot
 * be reached.
 */
export async function importModel(
  db: Db,
  { store, limits, ...origins }: ModelImportOptions,
  input: NewImportedModel,
): Promise<Model> {
  const name = parseOrThrow(shortText.optional(), input.name, ['name']);
  const { field, source, gguf, files } = await openOrigin(input, origins);
  try {
    const { config, tokenizer, nParams, weights } = await openCheckpoint(files, gguf);
    if (weights.bytes > limits.modelBytes)
      throw invalidInput(
        [field],
        `the model needs ${weights.bytes} bytes as float32; MAX_MODEL_SIZE is ${limits.modelBytes}`,
      );
    const file = await writeChunks(store.newPath(), weights.chunks());
    return await db.transaction(async (tx) => {
      const artifactHash = await storeArtifact(tx, store, file, 'MODEL');
      const [model] = await tx
        .insert(models)
        .values({
          ...{ name: name ?? nameOf(source), source, config: { ...config }, tokenizer },
          ...{ nParams, accuracy: {}, artifactHash },
        })
        .returning();
      return model!;
    });
  } catch (error) {
    // What is wrong inside a file is wrong with the field that named the checkpoint.
    if (error instanceof AppError && error.code === 'INVALID_INPUT')
      throw new AppError('INVALID_INPUT', error.message, { path: [field], cause: error });
    throw error;
  } finally {
    await files.close?.();
  }
}

async function openOrigin(
  { path, repo, revision, file }: NewImportedModel,
  { importDir, hub }: Pick<ModelImportOptions, 'importDir' | 'hub'>,
): Promise<Origin> {
  if ((path === undefined) === (repo === undefined))
    throw invalidInput(['path'], `give one of path and repo, got ${path === undefined ? 'neither' : 'both'}`);
  if (repo !== undefined) {
    if (file !== undefined && !GGUF.test(file))
      throw invalidInput(['file'], `file must be the name of a .gguf file, got "${file}"`);
    const wanted = { repo, revision: revision ?? 'main' };
    const files = await openRepository(wanted, hub);
    const source = { kind: 'HUB', ...wanted, commit: files.commit, ...(file && { file }) } as const;
    return { field: 'repo', source, gguf: file, files };
  }
  if (file !== undefined) throw invalidInput(['file'], 'a file is of a repo; let path name the .gguf file');
  if (revision !== undefined) throw invalidInput(['revision'], 'a revision is of a repo; a path has none');
  await resolveImportPath(path!, importDir);
  const gguf = GGUF.test(path!) ? basename(path!) : undefined;
  const directory = gguf === undefined ? path! : dirname(path!);
  // Each file by itself: a link in the directory may lead anywhere.
  const files = openFiles((name) => findImportPath(join(directory, name), importDir));
  return { field: 'path', source: { kind: 'DIRECTORY', path: path! }, gguf, files };
}

function nameOf(source: ModelSource): string {
  return source.kind === 'HUB' ? source.repo : basename(source.path) || source.path;
}
