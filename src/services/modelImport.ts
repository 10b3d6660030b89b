/** Models that were trained elsewhere: Hugging Face checkpoints from a directory or from the hub. */
import { basename, join } from 'node:path';
import { shortText } from '../data/text.ts';
import type { ArtifactStore } from '../db/artifactStore.ts';
import type { Db } from '../db/client.ts';
import { storeArtifact } from '../db/queries/artifacts.ts';
import { type ModelSource, models } from '../db/tables/index.ts';
import { AppError, invalidInput, parseOrThrow } from '../errors.ts';
import { openFiles } from '../formats/huggingFace/files.ts';
import { type CheckpointFiles, openCheckpoint } from '../formats/huggingFace/importModel.ts';
import { writeChunks } from '../formats/safetensors.ts';
import { type HubOptions, openRepository } from './hub.ts';
import { findImportPath, resolveImportPath } from './importSource.ts';
import type { Model } from './model.ts';

export interface NewImportedModel {
  /** A directory, relative to the import directory. */
  path?: string;
  /** A repository on the hub. */
  repo?: string;
  /** Of the repository; `main` if left out. */
  revision?: string;
  name?: string;
}

export interface ModelImportOptions {
  store: ArtifactStore;
  importDir: string;
  hub: HubOptions;
  limits: { modelBytes: number };
}

interface Origin {
  /** Which field of the input it is. */
  field: 'path' | 'repo';
  source: ModelSource;
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
  const { field, source, files } = await openOrigin(input, origins);
  try {
    const { config, tokenizer, nParams, weights } = await openCheckpoint(files);
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
  { path, repo, revision }: NewImportedModel,
  { importDir, hub }: Pick<ModelImportOptions, 'importDir' | 'hub'>,
): Promise<Origin> {
  if ((path === undefined) === (repo === undefined))
    throw invalidInput(['path'], `give one of path and repo, got ${path === undefined ? 'neither' : 'both'}`);
  if (repo !== undefined) {
    const wanted = { repo, revision: revision ?? 'main' };
    const files = await openRepository(wanted, hub);
    return { field: 'repo', source: { kind: 'HUB', ...wanted, commit: files.commit }, files };
  }
  if (revision !== undefined) throw invalidInput(['revision'], 'a revision is of a repo; a path has none');
  await resolveImportPath(path!, importDir);
  // Each file by itself: a link in the directory may lead anywhere.
  const files = openFiles((file) => findImportPath(join(path!, file), importDir));
  return { field: 'path', source: { kind: 'DIRECTORY', path: path! }, files };
}

function nameOf(source: ModelSource): string {
  return source.kind === 'HUB' ? source.repo : basename(source.path) || source.path;
}
