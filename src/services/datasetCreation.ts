/** Ways to make a dataset: generate it, import it, or derive questions from facts; each all or nothing. */
import { asc, eq } from 'drizzle-orm';
import { z } from 'zod';
import { BIOGRAPHY_ONTOLOGY, biographyItems, biographySettings } from '../data/biography.ts';
import type { FactItem, ImportStream, OntologyDefinition } from '../data/items.ts';
import { openJsonl } from '../data/jsonl.ts';
import { questionItems } from '../data/questions.ts';
import { MAX_CONCEPTS, promptedFields, shortText } from '../data/text.ts';
import { openTwoHop, TWO_HOP_FILES } from '../data/two-hop.ts';
import {
  type TwoHopSettingsInput,
  twoHopItems,
  twoHopOntology,
  twoHopSettings,
} from '../data/two-hop-generator.ts';
import { SENTENCES_FILE } from '../data/two-hop-sentences.ts';
import { spellOutSteps } from '../data/two-hop-steps.ts';
import { readWorld, type WorldSettingsInput, worldSettings } from '../data/world.ts';
import type { Db, Executor } from '../db/client.ts';
import { concepts, facts } from '../db/tables/index.ts';
import { GROKKING_PRESETS, type GrokkingPreset } from '../engine/contract/grokkingPresets.ts';
import { invalidInput, notFound, parseOrThrow } from '../errors.ts';
import { type Dataset, datasetsByIds } from './dataset.ts';
import { storeDataset } from './datasetWriter.ts';
import { type ImportFile, type ImportSource, openSource } from './importSource.ts';
import { ensureOntology, getOntologyDefinition, type Ontology, ontologiesByIds } from './ontology.ts';

const newTwoHopGeneration = twoHopSettings.extend({ name: shortText.nullish() });
const newWorld = worldSettings.extend({ name: shortText.nullish() });
const newGeneration = biographySettings.extend({ name: shortText.nullish() });

export type NewGeneration = z.input<typeof newGeneration>;

/**
 * Generates biographies of invented people, with their ontology if it is not stored yet.
 * @throws AppError INVALID_INPUT naming the field.
 */
export async function generateDataset(db: Db, input: NewGeneration): Promise<Dataset> {
  const { name, people, seed } = parseOrThrow(newGeneration, input);
  return db.transaction(async (tx) => {
    const ontology = await ensureOntology(tx, BIOGRAPHY_ONTOLOGY);
    const row = {
      name: name ?? `Biographies of ${people} people, seed ${seed}`,
      kind: 'BIOGRAPHY',
      settings: { people, seed },
    } as const;
    return storeDataset(tx, ontology, row, biographyItems({ people, seed }));
  });
}

/**
 * Generates invented people whose relations can be followed twice, with the ontology of the relations.
 * @throws AppError INVALID_INPUT naming the field.
 */
export async function generateTwoHopDataset(
  db: Db,
  { preset, ...input }: TwoHopSettingsInput & { name?: string | null; preset?: GrokkingPreset },
): Promise<Dataset> {
  const known = preset && GROKKING_PRESETS[preset].data;
  const { name, ...settings } = parseOrThrow(newTwoHopGeneration, { ...known, ...input });
  const { entities, relations, seed } = settings;
  const row = {
    name: name ?? `Two hops over ${relations} relations of ${entities} people, seed ${seed}`,
    kind: 'TWO_HOP',
    settings,
  } as const;
  return db.transaction(async (tx) => {
    const ontology = await ensureOntology(tx, twoHopOntology(settings));
    return storeDataset(tx, ontology, row, twoHopItems(settings));
  });
}

/**
 * Stores facts of the real world and prompts about them, with their ontology.
 * @throws AppError INVALID_INPUT naming the field.
 */
export async function generateWorldDataset(
  db: Db,
  input: WorldSettingsInput & { name?: string | null },
): Promise<Dataset> {
  const { name, ...settings } = parseOrThrow(newWorld, input);
  const { ontology, entities, items, ...prompted } = await readWorld(settings);
  const row = {
    ...{ ...prompted, settings },
    name: name ?? `${ontology.name}, ${entities} of them, seed ${settings.seed}`,
    kind: 'WORLD',
  } as const;
  return db.transaction(async (tx) => storeDataset(tx, await ensureOntology(tx, ontology), row, items));
}

export const IMPORT_FORMATS = ['JSONL', 'TWO_HOP'] as const;
export type ImportFormat = (typeof IMPORT_FORMATS)[number];

export interface NewImport extends ImportSource {
  /** `JSONL` if left out. */
  format?: ImportFormat | null;
  name?: string | null;
  /** The ontology that a JSONL file is about; without it the file brings its own. */
  ontologyId?: string | null;
  /** How its prompts are put to a model. */
  prefix?: string | null;
  answerEnd?: string | null;
  chat?: boolean | null;
  letterCase?: boolean | null;
  /** For `TWO_HOP`: answer with both people, E2 and E3, and state every fact in sentences of ours. */
  stepwise?: boolean | null;
  /** For `TWO_HOP`: the authors' other split, halves of all questions. */
  halves?: boolean | null;
}

/**
 * Imports a dataset, whole or not at all. An ontology that comes with the file becomes the newest version of its
 * slug, unless that has the same concepts already.
 * @param importDir the directory below which paths may lie.
 * @throws AppError INVALID_INPUT naming the field, or listing the bad lines; NOT_FOUND for the ontology.
 */
export async function importDataset(db: Db, input: NewImport, importDir: string): Promise<Dataset> {
  const format = parseOrThrow(z.enum(IMPORT_FORMATS).default('JSONL'), input.format ?? undefined, ['format']);
  const name = parseOrThrow(shortText.nullish(), input.name, ['name']);
  const prompted = parseOrThrow(z.object(promptedFields), {
    prefix: input.prefix ?? undefined,
    answerEnd: input.answerEnd ?? undefined,
    chat: input.chat ?? undefined,
    letterCase: input.letterCase ?? undefined,
  });
  const known = input.ontologyId ? await getOntologyDefinition(db, input.ontologyId) : null;
  if (known && format === 'TWO_HOP') {
    throw invalidInput(['ontologyId'], 'two-hop files bring their own ontology; leave ontologyId out');
  }
  const stepwise = input.stepwise === true;
  const halves = input.halves === true;
  for (const [field, isSet] of Object.entries({ stepwise, halves }))
    if (isSet && format !== 'TWO_HOP')
      throw invalidInput([field], `${field} is for two-hop files; leave it out`);
  const source = await openSource(input, importDir);
  try {
    const stream = await openStream(format, source.files, known, halves);
    const { ontology, items } = stepwise ? spellOutSteps(stream) : stream;
    const row = {
      ...prompted,
      name: name ?? input.path ?? source.files[0]!.name,
      kind: format === 'TWO_HOP' ? 'TWO_HOP' : 'PROMPTS',
      settings: {
        ...{ format, path: input.path ?? null, files: source.files.map((file) => file.name) },
        ...(stepwise && { stepwise }),
        ...(halves && { halves }),
      },
    } as const;
    return await db.transaction(async (tx) => {
      const stored = input.ontologyId
        ? await getOntology(tx, input.ontologyId)
        : await ensureOntology(tx, ontology);
      return storeDataset(tx, stored, row, items);
    });
  } finally {
    source.close();
  }
}

/**
 * Makes a new dataset of another one's facts with questions and sentences about each, worded by the concepts'
 * labels.
 * @throws AppError NOT_FOUND; INVALID_INPUT when there are no facts.
 */
export async function generateQuestions(
  db: Db,
  input: { datasetId: string; name?: string | null },
): Promise<Dataset> {
  const name = parseOrThrow(shortText.nullish(), input.name, ['name']);
  const [source] = await datasetsByIds(db, [input.datasetId]);
  if (!source) throw notFound('Dataset', input.datasetId);
  const items = await readFacts(db, source.id);
  if (!items.length) throw invalidInput(['datasetId'], `dataset "${source.name}" has no facts to ask about`);
  const definition = await getOntologyDefinition(db, source.ontologyId);
  return db.transaction(async (tx) => {
    const row = {
      name: name ?? `Questions about ${source.name}`.slice(0, 200),
      kind: 'PROMPTS',
      settings: { factsOf: source.id, factsHash: source.contentHash },
    } as const;
    const ontology = await getOntology(tx, source.ontologyId);
    return storeDataset(tx, ontology, row, questionItems(definition.concepts, items));
  });
}

async function getOntology(db: Executor, id: string): Promise<Ontology> {
  const [ontology] = await ontologiesByIds(db, [id]);
  if (!ontology) throw notFound('Ontology', id);
  return ontology;
}

async function readFacts(db: Executor, datasetId: string): Promise<FactItem[]> {
  const rows = await db
    .select({ entity: facts.entity, concept: concepts.key, value: facts.value })
    .from(facts)
    .innerJoin(concepts, eq(concepts.id, facts.conceptId))
    .where(eq(facts.datasetId, datasetId))
    .orderBy(asc(facts.position));
  return rows.map((row) => ({ type: 'fact', ...row }));
}

async function openStream(
  format: ImportFormat,
  files: readonly ImportFile[],
  known: OntologyDefinition | null,
  halves: boolean,
): Promise<ImportStream> {
  if (format === 'JSONL' && files.length !== 1) {
    throw invalidInput(['files'], `a JSONL import takes one file, got ${files.length}`);
  }
  const stream = await (format === 'TWO_HOP'
    ? openTwoHopFiles(files, halves)
    : openJsonl(files[0]!.bytes, known));
  const count = stream.ontology.concepts.length;
  if (count <= MAX_CONCEPTS) return stream;
  throw invalidInput([], `The file has ${count} concepts, an ontology has at most ${MAX_CONCEPTS}.`);
}

function openTwoHopFiles(files: readonly ImportFile[], halves: boolean): Promise<ImportStream> {
  const find = (name: string): ImportFile['bytes'] => {
    const file = files.find((candidate) => candidate.name === name);
    if (file) return file.bytes;
    const found = files.map((candidate) => candidate.name).join(', ') || 'none';
    throw invalidInput(
      ['files'],
      `a two-hop import takes ${Object.values(TWO_HOP_FILES).join(', ')}; ${name} is missing, found ${found}`,
    );
  };
  const { facts: factFile, train, validation } = TWO_HOP_FILES;
  const sentences = files.find(({ name }) => name === SENTENCES_FILE)?.bytes;
  const found = { facts: find(factFile), train: find(train), validation: find(validation) };
  return openTwoHop({ ...found, ...(sentences && { sentences }) }, { halves });
}
