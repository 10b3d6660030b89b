/**
 * Activations that were captured elsewhere, of models that this engine cannot run: imported as a model without weights
 * and the dataset of the prompts that they belong to.
 */
import { createReadStream } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { z } from 'zod';
import { readActivationLines } from '../data/activationLines.ts';
import type { OntologyDefinition, PromptItem } from '../data/items.ts';
import { MAX_CONCEPTS, shortText } from '../data/text.ts';
import type { ArtifactStore } from '../db/artifactStore.ts';
import type { Db, Executor } from '../db/client.ts';
import { storeArtifact } from '../db/queries/artifacts.ts';
import { models } from '../db/tables/index.ts';
import type { ModelConfig } from '../engine/contract/model.ts';
import { AppError, invalidInput, notFound, parseOrThrow } from '../errors.ts';
import type { Dataset } from './dataset.ts';
import { storeDataset } from './datasetWriter.ts';
import type { ImportProcesses, ReadActivations } from './importProcess.ts';
import { resolveImportPath } from './importSource.ts';
import type { Model } from './model.ts';
import { ensureOntology, getOntologyDefinition, type Ontology, ontologiesByIds } from './ontology.ts';

export interface NewActivations {
  /** A directory of shards and one JSONL file, relative to the import directory. */
  path: string;
  /** Behind which block they were captured; −1 before the first. */
  layer: number;
  /** The ontology whose concepts the lines name; one is made of them if left out. */
  ontologyId?: string;
  name?: string;
}

export interface ActivationImportOptions {
  store: ArtifactStore;
  imports: ImportProcesses;
  importDir: string;
  limits: { modelBytes: number };
}

const settings = z.object({ layer: z.int().min(-1).max(999), name: shortText.optional() });

/**
 * Imports activations with their prompts, whole or not at all.
 * @throws AppError INVALID_INPUT naming the field, the shard, or the bad lines; NOT_FOUND for the ontology; UNAVAILABLE
 * as `ImportProcesses.read` says.
 */
export async function importActivations(
  db: Db,
  { store, imports, importDir, limits }: ActivationImportOptions,
  input: NewActivations,
): Promise<{ model: Model; dataset: Dataset }> {
  const { layer, name = basename(input.path) || input.path } = parseOrThrow(settings, input);
  const { shards, lines } = await findFiles(input.path, importDir);
  const known = input.ontologyId ? await getOntologyDefinition(db, input.ontologyId) : null;
  // Before there is a process, and before anything large is read.
  const { prompts, ontology } = await readLines(lines, known, name);
  const order = { shards, importDir, target: store.newPath(), maxBytes: limits.modelBytes };
  const read = await imports.read({ what: 'ACTIVATIONS', ...order }).catch((error) => {
    if (!(error instanceof AppError) || error.code !== 'INVALID_INPUT') throw error;
    throw new AppError('INVALID_INPUT', error.message, { path: ['path'], cause: error });
  });
  if (read.rows !== prompts)
    throw invalidInput(
      ['path'],
      `the ${shards.length} shards have ${read.rows} rows together, ${basename(lines)} has ${prompts} lines; row n must be the activation of line n`,
    );
  return db.transaction(async (tx) => {
    const stored = input.ontologyId
      ? await readOntology(tx, input.ontologyId)
      : await ensureOntology(tx, ontology);
    const made = { format: 'ACTIVATIONS', path: input.path, layer };
    const dataset = await storeDataset(
      tx,
      stored,
      { name, kind: 'PROMPTS', settings: made },
      open(lines, known),
    );
    const model = await insertModel(tx, store, read, {
      name,
      layer,
      path: input.path,
      datasetId: dataset.id,
    });
    return { model, dataset };
  });
}

/** Paths of shards below the import directory, in the order of the numbers in their names, and where the lines are. */
async function findFiles(path: string, importDir: string): Promise<{ shards: string[]; lines: string }> {
  const directory = await resolveImportPath(path, importDir);
  if (!(await stat(directory)).isDirectory())
    throw invalidInput(['path'], `path "${path}" must be a directory of shards and their lines`);
  const names = await readdir(directory);
  const ending = (suffix: string) =>
    names
      .filter((name) => name.endsWith(suffix))
      .sort(new Intl.Collator('en', { numeric: true }).compare)
      .map((name) => join(path, name));
  const [shards, lines] = [ending('.safetensors'), ending('.jsonl')];
  if (shards.length === 0) throw invalidInput(['path'], `path "${path}" has no .safetensors file`);
  if (lines.length !== 1)
    throw invalidInput(
      ['path'],
      `path "${path}" must have one .jsonl file, a line for each row; it has ${lines.length}`,
    );
  return { shards, lines: await resolveImportPath(lines[0]!, importDir) };
}

function open(lines: string, known: OntologyDefinition | null): AsyncGenerator<PromptItem> {
  return readActivationLines(createReadStream(lines), known);
}

/** Reads all lines once, so that concepts are known before any is stored. */
async function readLines(
  lines: string,
  known: OntologyDefinition | null,
  name: string,
): Promise<{ prompts: number; ontology: OntologyDefinition }> {
  const keys = new Set<string>();
  let prompts = 0;
  for await (const { concepts } of open(lines, known)) {
    prompts++;
    keys.add(concepts[0]!);
    if (keys.size > MAX_CONCEPTS)
      throw invalidInput(
        ['path'],
        `the lines name more than ${MAX_CONCEPTS} concepts, the most of an ontology`,
      );
  }
  if (prompts === 0) throw invalidInput(['path'], `${basename(lines)} has no line`);
  const concepts = [...keys].map((key) => ({ key, label: key.replaceAll('_', ' '), description: '' }));
  return { prompts, ontology: known ?? { slug: slugOf(name), name, description: '', concepts } };
}

/** A name for machines out of one for people. */
function slugOf(name: string): string {
  const words = name.toLowerCase().match(/[a-z0-9]+/g) ?? ['activations'];
  return words.join('-').slice(0, 64).replace(/-$/, '');
}

async function readOntology(tx: Executor, id: string): Promise<Ontology> {
  const [ontology] = await ontologiesByIds(tx, [id]);
  if (!ontology) throw notFound('Ontology', id);
  return ontology;
}

async function insertModel(
  tx: Executor,
  store: ArtifactStore,
  { dModel, weights }: ReadActivations,
  { layer, path, ...named }: { name: string; layer: number; path: string; datasetId: string },
): Promise<Model> {
  const artifactHash = await storeArtifact(tx, store, weights, 'MODEL');
  const unknown = { nHeads: 0, dMlp: 0, nCtx: 0, dVocab: 0, layerNormEps: 0 };
  const config: ModelConfig = { ...unknown, dModel, nLayers: layer + 1, captured: { layer } };
  const [model] = await tx
    .insert(models)
    .values({
      ...named,
      source: { kind: 'ACTIVATIONS', path },
      config,
      tokenizer: {},
      nParams: 0,
      accuracy: {},
      artifactHash,
    })
    .returning();
  return model!;
}
