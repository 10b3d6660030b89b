/** Ontologies and their concepts. */
import { sql } from 'drizzle-orm';
import { check, index, integer, pgTable, text, unique, uuid } from 'drizzle-orm/pg-core';
import { createdAt, id, labels } from './columns.ts';

export const ontologies = pgTable(
  'ontologies',
  {
    id: id(),
    slug: text('slug').notNull(),
    version: integer('version').notNull(),
    name: text('name').notNull(),
    description: text('description').notNull().default(''),
    createdAt: createdAt(),
    ...labels(),
  },
  (t) => [
    unique('ontologies_slug_version').on(t.slug, t.version),
    index('ontologies_created').on(t.createdAt, t.id),
    check('ontologies_slug_form', sql`${t.slug} ~ '^[a-z0-9]+(-[a-z0-9]+)*$'`),
    check('ontologies_version_positive', sql`${t.version} > 0`),
  ],
);

export const concepts = pgTable(
  'concepts',
  {
    id: id(),
    ontologyId: uuid('ontology_id')
      .notNull()
      .references(() => ontologies.id, { onDelete: 'cascade' }),
    key: text('key').notNull(),
    label: text('label').notNull(),
    description: text('description').notNull().default(''),
    /** 0-based; the slot `nFree + position` is this concept's. */
    position: integer('position').notNull(),
  },
  (t) => [
    unique('concepts_ontology_key').on(t.ontologyId, t.key),
    unique('concepts_ontology_position').on(t.ontologyId, t.position),
  ],
);
