/** Swaps of sweeps one by one, in pieces of many: a row each would take more for its header than for what it says. */
import { boolean, integer, jsonb, pgTable, primaryKey, smallint, text, uuid } from 'drizzle-orm/pg-core';
import { runId } from './run.ts';

/** The swaps that every cell of a sweep tries, from number `start` on. */
export const sweepSwaps = pgTable(
  'sweep_swaps',
  {
    runId: runId(),
    start: integer('start').notNull(),
    exampleIds: uuid('example_ids').array().notNull(),
    /** Concepts by index. */
    sources: smallint('sources').array().notNull(),
    targets: smallint('targets').array().notNull(),
    /** Any of which is right, swap by swap. */
    expected: jsonb('expected').$type<readonly (readonly string[])[]>().notNull(),
    before: text('before').array().notNull(),
    known: boolean('known').array().notNull(),
  },
  (t) => [primaryKey({ columns: [t.runId, t.start] })],
);

/** What a cell made of those swaps. */
export const sweepAnswers = pgTable(
  'sweep_answers',
  {
    runId: runId(),
    position: integer('position').notNull(),
    start: integer('start').notNull(),
    /** Each different answer once. */
    answers: text('answers').array().notNull(),
    /** Of each swap the place of its answer above, from 1; null where it could not be tried. */
    places: integer('places').array().$type<(number | null)[]>().notNull(),
    /** Its outcome by number; null likewise. */
    outcomes: smallint('outcomes').array().$type<(number | null)[]>().notNull(),
  },
  (t) => [primaryKey({ columns: [t.runId, t.position, t.start] })],
);
