/** Models that were trained elsewhere: Hugging Face checkpoints and GGUF files, from a directory or from the hub. */
import { basename, dirname } from 'node:path';
import { sql } from 'drizzle-orm';
import { shortText } from '../data/text.ts';
import type { ArtifactStore } from '../db/artifactStore.ts';
import type { Db } from '../db/client.ts';
import { storeArtifact } from '../db/queries/artifacts.ts';
import { type ModelSource, models } from '../db/tables/index.ts';
import { AppError, invalidInput, parseOrThrow } from '../errors.ts';
import { memoryLimit } from '../memory.ts';
import { checkNames, type HubOptions } from './hub.ts';
import type { ImportProcesses, ModelOrder } from './importProcess.ts';
import { resolveImportPath } from './importSource.ts';
import type { StoredModel } from './model.ts';

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
  imports: ImportProcesses;
  importDir: string;
  hub: HubOptions;
  limits: { modelBytes: number };
}

/** Names of GGUF files, in folders or not. */
const GGUF = /^[\w.-][\w ./-]*\.gguf$/i;

/**
 * Imports a checkpoint, whole or not at all; resolves when it is stored.
 * @throws AppError INVALID_INPUT naming the field and what about it is not acceptable; UNAVAILABLE when the hub cannot
 * be reached, or as `ImportProcesses.read` says.
 */
export async function importModel(
  db: Db,
  { store, limits, imports, ...origins }: ModelImportOptions,
  input: NewImportedModel,
): Promise<StoredModel> {
  const name = parseOrThrow(shortText.optional(), input.name, ['name']);
  const origin = originOf(input, origins);
  // Before there is a process, which takes a second to come.
  if (origin.kind === 'HUB') checkNames(origin.repo, origin.revision);
  else await resolveImportPath(input.path!, origins.importDir);
  const order: ModelOrder = {
    ...{ what: 'MODEL', origin, target: store.newPath() },
    ...{ maxBytes: limits.modelBytes, memoryBytes: memoryLimit() },
  };
  const { commit, config, tokenizer, nParams, weights } = await imports.read(order).catch((error) => {
    // What is wrong inside a file is wrong with the field that named the checkpoint.
    if (!(error instanceof AppError) || error.code !== 'INVALID_INPUT') throw error;
    const field = origin.kind === 'DIRECTORY' ? 'path' : error.path[0] === 'revision' ? 'revision' : 'repo';
    throw new AppError('INVALID_INPUT', error.message, { path: [field], cause: error });
  });
  const source: ModelSource =
    origin.kind === 'DIRECTORY'
      ? { kind: 'DIRECTORY', path: input.path! }
      : {
          kind: 'HUB',
          repo: origin.repo,
          revision: origin.revision,
          commit: commit!,
          ...(origin.gguf && { file: origin.gguf }),
        };
  return db.transaction(async (tx) => {
    const artifactHash = await storeArtifact(tx, store, weights, 'MODEL');
    const [model] = await tx
      .insert(models)
      .values({
        ...{
          name: name ?? nameOf(source),
          source,
          config: { ...config },
          nParams,
          accuracy: {},
          artifactHash,
        },
        // As text: it may have megabytes.
        tokenizer: sql`${tokenizer}::jsonb`,
      })
      .returning();
    return model!;
  });
}

function originOf(
  { path, repo, revision, file }: NewImportedModel,
  { importDir, hub }: Pick<ModelImportOptions, 'importDir' | 'hub'>,
): ModelOrder['origin'] {
  if ((path === undefined) === (repo === undefined))
    throw invalidInput(['path'], `give one of path and repo, got ${path === undefined ? 'neither' : 'both'}`);
  if (repo !== undefined) {
    if (file !== undefined && !GGUF.test(file))
      throw invalidInput(['file'], `file must be the name of a .gguf file, got "${file}"`);
    return { kind: 'HUB', repo, revision: revision ?? 'main', hub, gguf: file };
  }
  if (file !== undefined) throw invalidInput(['file'], 'a file is of a repo; let path name the .gguf file');
  if (revision !== undefined) throw invalidInput(['revision'], 'a revision is of a repo; a path has none');
  return GGUF.test(path!)
    ? { kind: 'DIRECTORY', path: dirname(path!), importDir, gguf: basename(path!) }
    : { kind: 'DIRECTORY', path: path!, importDir };
}

function nameOf(source: ModelSource): string {
  return source.kind === 'HUB' ? source.repo : basename(source.path) || source.path;
}
