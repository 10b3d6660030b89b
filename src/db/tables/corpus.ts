/** Text corpora: documents that are about nothing in particular, in a file of the artifact store. */
import { bigint, index, integer, jsonb, pgTable, text } from 'drizzle-orm/pg-core';
import { artifacts } from './artifact.ts';
import { createdAt, id, labels } from './columns.ts';

export interface CorpusSource {
  /** Below the import directory; null for files of the request. */
  path: string | null;
  files: string[];
}

export const corpora = pgTable(
  'corpora',
  {
    id: id(),
    name: text('name').notNull(),
    ...labels(),
    source: jsonb('source').$type<CorpusSource>().notNull(),
    documents: integer('documents').notNull(),
    /** Of the text, UTF-8. */
    bytes: bigint('bytes', { mode: 'number' }).notNull(),
    artifactHash: text('artifact_hash')
      .notNull()
      .references(() => artifacts.hash),
    createdAt: createdAt(),
  },
  (t) => [index('corpora_created').on(t.createdAt, t.id), index('corpora_artifact').on(t.artifactHash)],
);
