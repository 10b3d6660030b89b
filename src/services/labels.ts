/** Names, tags and notes: what people say of a thing, when it is made and at any time after. */
import { eq, type SQL } from 'drizzle-orm';
import { z } from 'zod';
import { MAX_LONG_TEXT, shortText } from '../data/text.ts';
import type { Db, Executor } from '../db/client.ts';
import { corpora, datasets, models, ontologies, runs, saes } from '../db/tables/index.ts';
import { notFound, parseOrThrow } from '../errors.ts';

export const MAX_TAGS = 20;
export const MAX_TAG = 50;

const tags = z
  .array(shortText.max(MAX_TAG, { error: `must have at most ${MAX_TAG} characters` }))
  .max(MAX_TAGS, {
    error: (issue) => `must have at most ${MAX_TAGS} tags, got ${(issue.input as []).length}`,
  })
  .transform((list) => [...new Set(list)]);

const notes = z
  .string({ error: 'must be text' })
  .trim()
  .max(MAX_LONG_TEXT, { error: `must have at most ${MAX_LONG_TEXT} characters` })
  .transform((text) => text.replaceAll('\r\n', '\n'))
  .refine((text) => /^(?:[^\p{Cc}\p{Cs}]|[\n\t])*$/u.test(text), {
    error: 'must not contain control characters besides line breaks and tabs',
  });

const labels = z.object({ name: shortText.optional(), tags: tags.optional(), notes: notes.optional() });
/** A run may have no name: an empty one takes it away. */
const runLabels = labels.extend({ name: shortText.or(z.literal('')).optional() });

/** What is left out stays as it is. */
export interface Labels {
  name?: string;
  tags?: string[];
  notes?: string;
}

const TABLES = {
  Run: runs,
  Model: models,
  Dataset: datasets,
  Ontology: ontologies,
  Sae: saes,
  Corpus: corpora,
};
export type Labelled = keyof typeof TABLES;
type Row<T extends Labelled> = (typeof TABLES)[T]['$inferSelect'];

/** @throws AppError INVALID_INPUT naming the field. */
export function checkLabels(what: Labelled, { name, tags: given, notes: text }: Labels): Labels {
  return parseOrThrow(what === 'Run' ? runLabels : labels, { name, tags: given, notes: text });
}

/**
 * Changes what is said of a thing; whatever is left out stays.
 * @throws AppError INVALID_INPUT naming the field; NOT_FOUND.
 */
export async function label<T extends Labelled>(
  db: Executor,
  what: T,
  id: string,
  given: Labels,
): Promise<Row<T>> {
  const checked = checkLabels(what, given);
  const table = TABLES[what] as typeof runs;
  const isChange = Object.values(checked).some((value) => value !== undefined);
  const where: SQL = eq(table.id, id);
  const [row] = isChange
    ? await db.update(table).set(checked).where(where).returning()
    : await db.select().from(table).where(where);
  if (!row) throw notFound(what, id);
  return row as Row<T>;
}

/**
 * Makes a thing that is described from the first: nothing is made where what is said of it is not acceptable.
 * @throws AppError INVALID_INPUT naming the field, and what `make` throws.
 */
export async function makeLabelled<T extends Labelled>(
  db: Db,
  what: T,
  given: Labels,
  make: () => Promise<Row<T>>,
): Promise<Row<T>> {
  const checked = checkLabels(what, given);
  const made = await make();
  return label(db, what, made.id, checked);
}
