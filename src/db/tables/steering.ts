/** Prompts that were continued under edits of any latents and directions, and kept. */
import { boolean, index, integer, jsonb, pgTable, text, uuid } from 'drizzle-orm/pg-core';
import type { SteeringEdit } from '../../engine/contract/edits.ts';
import type { Continuation } from '../../engine/contract/swap.ts';
import { createdAt, id } from './columns.ts';
import { saes } from './sae.ts';

/** What an edit is about, as it was named. */
export type NamedTarget =
  | { kind: 'CONCEPT'; conceptId: string; latent: number }
  | { kind: 'LATENT'; latent: number }
  | { kind: 'DIFFERENCE'; of: string; from: string; datasetId: string }
  | { kind: 'VECTOR'; vector: number[] };

/** An edit as it was made, its targets as they were named, its trigger by its latent. */
export interface NamedEdit extends Omit<SteeringEdit, 'target' | 'source' | 'place'> {
  target: NamedTarget;
  source: NamedTarget | null;
  place: Omit<SteeringEdit['place'], 'armed'> & { armed: { latent: number | null; above: number } | null };
}

export const steerings = pgTable(
  'steerings',
  {
    id: id(),
    saeId: uuid('sae_id')
      .notNull()
      .references(() => saes.id, { onDelete: 'cascade' }),
    prompt: text('prompt').notNull(),
    /** Whether it was put as a message of a chat. */
    chat: boolean('chat').notNull().default(false),
    edits: jsonb('edits').$type<NamedEdit[]>().notNull(),
    maxNewTokens: integer('max_new_tokens').notNull(),
    baseline: jsonb('baseline').$type<Continuation>().notNull(),
    /** One an alpha. */
    results: jsonb('results').$type<{ alpha: number; continuation: Continuation }[]>().notNull(),
    createdAt: createdAt(),
  },
  (t) => [
    index('steerings_sae').on(t.saeId, t.createdAt, t.id),
    index('steerings_created').on(t.createdAt, t.id),
  ],
);
