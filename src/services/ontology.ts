/** Ontologies: named, versioned lists of concepts; a version never changes once it is stored. */
import { and, desc, eq, sql } from 'drizzle-orm';
import { z } from 'zod';
import type { OntologyDefinition } from '../data/items.ts';
import { conceptKey, description, MAX_CONCEPTS, shortText, slug } from '../data/text.ts';
import type { Db, Executor } from '../db/client.ts';
import { readByIds, readGroups } from '../db/queries/byIds.ts';
import { type Page, type PageArgs, readPage } from '../db/queries/page.ts';
import { concepts, ontologies } from '../db/tables/index.ts';
import { AppError, notFound, parseOrThrow } from '../errors.ts';

export type Ontology = typeof ontologies.$inferSelect;
export type Concept = typeof concepts.$inferSelect;

const newOntology = z
  .object({
    slug,
    /** The slug if left out. */
    name: shortText.nullish(),
    description: description.nullish(),
    /** Of an ontology that exists: the next number. 1 if left out. */
    version: z
      .number()
      .int()
      .min(1)
      .max(2 ** 31 - 1)
      .nullish(),
    /** In the order of their slots. */
    concepts: z
      .array(
        z
          .object({
            key: conceptKey,
            /** The key with spaces for underscores if left out. */
            label: shortText.nullish(),
            description: description.nullish(),
          })
          .strict(),
      )
      .min(1, { error: 'must have at least one concept' })
      .max(MAX_CONCEPTS, {
        error: (issue) =>
          `must have at most ${MAX_CONCEPTS} concepts, got ${(issue.input as unknown[]).length}`,
      }),
  })
  .strict()
  .superRefine(({ concepts: list }, context) => {
    for (const [i, { key }] of list.entries()) {
      const first = list.findIndex((concept) => concept.key === key);
      if (first === i) continue;
      const message = `${key} is the key of concept ${first} already`;
      context.addIssue({ code: 'custom', path: ['concepts', i, 'key'], message });
    }
  });

export type NewOntology = z.input<typeof newOntology>;

/**
 * Stores an ontology, or the next version of one.
 * @throws AppError INVALID_INPUT naming the field; CONFLICT when that version exists, or is not the next one.
 */
export async function createOntology(db: Db, input: NewOntology): Promise<Ontology> {
  const { version = null, ...parsed } = parseOrThrow(newOntology, input);
  const definition: OntologyDefinition = {
    slug: parsed.slug,
    name: parsed.name ?? parsed.slug,
    description: parsed.description ?? '',
    concepts: parsed.concepts.map(({ key, label, description: about }) => ({
      key,
      label: label ?? key.replaceAll('_', ' '),
      description: about ?? '',
    })),
  };
  return db.transaction(async (tx) => {
    const newest = (await lockNewest(tx, definition.slug))?.version ?? 0;
    const wanted = version ?? 1;
    if (wanted !== newest + 1) {
      const found = newest ? `its newest version is ${newest}` : 'it does not exist';
      throw new AppError(
        'CONFLICT',
        `Version ${wanted} of ontology ${definition.slug} cannot be created: ${found}; the next is ${newest + 1}.`,
      );
    }
    return insertOntology(tx, definition, wanted);
  });
}

/** The newest version of that slug if its concepts are the same, else a new version. Call it in a transaction. */
export async function ensureOntology(tx: Executor, definition: OntologyDefinition): Promise<Ontology> {
  // The lock is held to the end of what may be a long import, so whoever need not have it does not take it.
  const found = await findOntology(tx, definition.slug);
  if (found && (await hasConcepts(tx, found, definition))) return found;
  const newest = await lockNewest(tx, definition.slug);
  if (newest && (await hasConcepts(tx, newest, definition))) return newest;
  return insertOntology(tx, definition, (newest?.version ?? 0) + 1);
}

/** Whether keys and labels are the same, in the same order. */
async function hasConcepts(tx: Executor, { id }: Ontology, definition: OntologyDefinition): Promise<boolean> {
  const [stored] = await conceptsOfOntologies(tx, [id]);
  const outline = (list: readonly { key: string; label: string }[]) =>
    JSON.stringify(list.map(({ key, label }) => [key, label]));
  return outline(stored!) === outline(definition.concepts);
}

/** That version of a slug, the newest one if none is named; null if there is none. */
export async function findOntology(
  db: Executor,
  name: string,
  version: number | null = null,
): Promise<Ontology | null> {
  const [row] = await db
    .select()
    .from(ontologies)
    .where(and(eq(ontologies.slug, name), version === null ? undefined : eq(ontologies.version, version)))
    .orderBy(desc(ontologies.version))
    .limit(1);
  return row ?? null;
}

/** The ontology as it was defined. @throws AppError NOT_FOUND */
export async function getOntologyDefinition(db: Executor, id: string): Promise<OntologyDefinition> {
  const [ontology] = await ontologiesByIds(db, [id]);
  if (!ontology) throw notFound('Ontology', id);
  const [list] = await conceptsOfOntologies(db, [id]);
  return { ...ontology, concepts: list! };
}

/** Ontologies, every version, newest first. */
export function listOntologies(db: Executor, args: PageArgs): Promise<Page<Ontology>> {
  const order = { columns: [ontologies.createdAt, ontologies.id], direction: 'desc' } as const;
  return readPage(db, ontologies, { order }, args);
}

/** For each id its ontology, or null. */
export function ontologiesByIds(db: Executor, ids: readonly string[]): Promise<(Ontology | null)[]> {
  return readByIds(db, ontologies, ontologies.id, ids);
}

/** For each id its concept, or null. */
export function conceptsByIds(db: Executor, ids: readonly string[]): Promise<(Concept | null)[]> {
  return readByIds(db, concepts, concepts.id, ids);
}

/** For each ontology its concepts, in the order of their slots. */
export function conceptsOfOntologies(db: Executor, ontologyIds: readonly string[]): Promise<Concept[][]> {
  return readGroups(db, concepts, concepts.ontologyId, ontologyIds, [concepts.position]);
}

/** The newest version, with the slug locked until the transaction ends, so that two cannot add one at once. */
async function lockNewest(tx: Executor, name: string): Promise<Ontology | null> {
  await tx.execute(sql`select pg_advisory_xact_lock(hashtextextended(${`ontology ${name}`}, 0))`);
  return findOntology(tx, name);
}

async function insertOntology(
  tx: Executor,
  { concepts: list, slug: name, name: title, description: about }: OntologyDefinition,
  version: number,
): Promise<Ontology> {
  const [ontology] = await tx
    .insert(ontologies)
    .values({ slug: name, version, name: title, description: about })
    .returning();
  const rows = list.map(({ key, label, description: text }, position) => {
    return { ontologyId: ontology!.id, key, label, description: text, position };
  });
  await tx.insert(concepts).values(rows);
  return ontology!;
}
