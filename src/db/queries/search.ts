/** Searching and ordering lists of what has a name, tags and notes. */
import { and, arrayContains, gte, type SQL, sql } from 'drizzle-orm';
import type { PgColumn } from 'drizzle-orm/pg-core';
import type { Order } from './page.ts';

/** The columns of a table whose rows can be found so. */
interface Named {
  id: PgColumn;
  name: PgColumn;
  tags: PgColumn;
  notes: PgColumn;
  createdAt: PgColumn;
}

export interface Found {
  /** Exactly one of its tags. */
  tag?: string | null;
  /** Words of its name, its notes or its tags. */
  text?: string | null;
  /** Made at this time or later. */
  since?: Date | null;
}

/** By what such a list is ordered, and which end comes first. */
export interface NamedOrder {
  field: 'CREATED_AT' | 'NAME';
  direction: 'asc' | 'desc';
}

/** Undefined where nothing is left out. */
export function whereFound({ name, notes, tags, createdAt }: Named, found: Found): SQL | undefined {
  return and(
    found.tag ? arrayContains(tags, [found.tag]) : undefined,
    found.since ? gte(createdAt, found.since) : undefined,
    hasWords(sql`concat_ws(' ', ${name}, ${notes}, array_to_string(${tags}, ' '))`, found.text),
  );
}

/** Newest first unless something else is asked for. */
export function orderFound({ id, name, createdAt }: Named, order?: NamedOrder): Order {
  const columns = order?.field === 'NAME' ? ([name, createdAt, id] as const) : ([createdAt, id] as const);
  return { columns, direction: order?.direction ?? 'desc' };
}

/** Whether a text has all of the words in it, in whatever order, in capitals or not; a word is no pattern. */
export function hasWords(text: SQL, words: string | null | undefined): SQL | undefined {
  const all = words?.split(/\s+/).filter(Boolean) ?? [];
  return and(...all.map((word) => sql`strpos(lower(${text}), lower(${word}::text)) > 0`));
}
