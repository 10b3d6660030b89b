/** SAEs that were trained elsewhere: directories of SAELens and of Gemma Scope, on the server or on the hub. */
import { basename } from 'node:path';
import { shortText } from '../data/text.ts';
import type { ArtifactStore } from '../db/artifactStore.ts';
import type { Db } from '../db/client.ts';
import { storeArtifact } from '../db/queries/artifacts.ts';
import { type SaeSource, saes } from '../db/tables/index.ts';
import { AppError, invalidInput, parseOrThrow } from '../errors.ts';
import { readDataset, readModel } from '../runs/studied.ts';
import { checkNames, type HubOptions } from './hub.ts';
import type { ImportProcesses, ReadSae, SaeOrder } from './importProcess.ts';
import { resolveImportPath } from './importSource.ts';
import type { Sae } from './sae.ts';

export interface NewImportedSae {
  /** The model whose activations it reads. */
  modelId: string;
  /** Whose prompts it is measured on unless another is named; that of the model if left out. */
  datasetId?: string;
  /** A directory, relative to the import directory. */
  path?: string;
  /** A repository on the hub. */
  repo?: string;
  /** Of the repository; `main` if left out. */
  revision?: string;
  /** Of the repository; its root if left out. */
  folder?: string;
  /** Which layer it reads, where the files do not say. */
  layer?: number;
  /** What activations are multiplied by, where the files say that they are but not by how much. */
  inputScale?: number;
  name?: string;
}

export interface SaeImportOptions {
  store: ArtifactStore;
  imports: ImportProcesses;
  importDir: string;
  hub: HubOptions;
  limits: { modelBytes: number; engineBytes: number };
}

/** Folders of a repository. */
const FOLDER = /^[\w.-]+(\/[\w.-]+)*$/;
/** More than any sensible one. */
const MAX_SCALE = 1e6;

/**
 * Imports an SAE, whole or not at all; resolves when it is stored.
 * @throws AppError NOT_FOUND for the model or the dataset; INVALID_INPUT naming the field and what about it is not
 * acceptable; UNAVAILABLE when the hub cannot be reached, or as `ImportProcesses.read` says.
 */
export async function importSae(
  db: Db,
  { store, limits, imports, ...origins }: SaeImportOptions,
  input: NewImportedSae,
): Promise<Sae> {
  const name = parseOrThrow(shortText.optional(), input.name, ['name']);
  const model = await readModel(db, input.modelId);
  const dataset = input.datasetId === undefined ? null : await readDataset(db, input.datasetId);
  const origin = originOf(input, origins);
  const hints = hintsOf(input);
  // Before there is a process, which takes a second to come.
  if (origin.kind === 'HUB') checkNames(origin.repo, origin.revision);
  else await resolveImportPath(origin.path, origins.importDir);
  const order: SaeOrder = {
    what: 'SAE',
    origin,
    hints,
    reads: {
      name: model.name,
      dModel: model.config.dModel,
      nLayers: model.config.nLayers,
      onlyLayer: model.config.captured?.layer ?? null,
    },
    target: store.newPath(),
    maxBytes: limits.modelBytes,
    engineBytes: limits.engineBytes,
  };
  const read = await imports.read(order).catch((error) => {
    throw atField(error, origin.kind);
  });
  const source = sourceOf(origin, read);
  return db.transaction(async (tx) => {
    const artifactHash = await storeArtifact(tx, store, read.weights, 'SAE');
    const { dModel, nFree, nConcepts, activation, k } = read.config;
    const [sae] = await tx
      .insert(saes)
      .values({
        name: name ?? nameOf(source),
        source,
        modelId: model.id,
        datasetId: dataset?.id ?? model.datasetId,
        layer: read.layer,
        config: { dModel, nFree, nConcepts, activation, k },
        artifactHash,
      })
      .returning();
    return sae!;
  });
}

function originOf(
  { path, repo, revision, folder }: NewImportedSae,
  { importDir, hub }: Pick<SaeImportOptions, 'importDir' | 'hub'>,
): SaeOrder['origin'] {
  if ((path === undefined) === (repo === undefined))
    throw invalidInput(['path'], `give one of path and repo, got ${path === undefined ? 'neither' : 'both'}`);
  if (repo !== undefined) {
    if (folder !== undefined && (!FOLDER.test(folder) || folder.split('/').includes('..')))
      throw invalidInput(['folder'], `folder must be a folder of the repository, got "${folder}"`);
    return { kind: 'HUB', repo, revision: revision ?? 'main', hub, folder: folder ?? '' };
  }
  if (folder !== undefined)
    throw invalidInput(['folder'], 'a folder is of a repo; let path name the directory');
  if (revision !== undefined) throw invalidInput(['revision'], 'a revision is of a repo; a path has none');
  return { kind: 'DIRECTORY', path: path!, importDir, folder: '' };
}

function hintsOf({ layer, inputScale }: NewImportedSae): SaeOrder['hints'] {
  if (inputScale !== undefined && !(inputScale > 0 && inputScale <= MAX_SCALE))
    throw invalidInput(
      ['inputScale'],
      `inputScale must be above 0 and at most ${MAX_SCALE}, got ${inputScale}`,
    );
  return { layer: layer ?? null, inputScale: inputScale ?? null };
}

/** What is wrong inside a file is wrong with the field that named it; what the caller left out is at its own. */
function atField(error: unknown, kind: SaeOrder['origin']['kind']): unknown {
  if (!(error instanceof AppError) || error.code !== 'INVALID_INPUT') return error;
  const [first] = error.path;
  const field = ['modelId', 'layer', 'inputScale', 'revision'].includes(first ?? '')
    ? first!
    : kind === 'DIRECTORY'
      ? 'path'
      : 'repo';
  return new AppError('INVALID_INPUT', error.message, { path: [field], cause: error });
}

function sourceOf(origin: SaeOrder['origin'], { commit, file }: ReadSae): SaeSource {
  if (origin.kind === 'DIRECTORY') return { kind: 'DIRECTORY', path: origin.path, file };
  const { repo, revision, folder } = origin;
  return { kind: 'HUB', repo, revision, commit: commit!, folder, file };
}

function nameOf(source: SaeSource): string {
  if (source.kind === 'DIRECTORY') return basename(source.path) || source.path;
  return source.folder ? `${source.repo}/${source.folder}` : source.repo;
}
