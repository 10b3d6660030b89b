import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Database } from '../../src/db/client.ts';
import { readEvents } from '../../src/db/queries/events.ts';
import { finishRun } from '../../src/db/queries/runs.ts';
import { appendCell, listCellPositions } from '../../src/db/queries/sweepCells.ts';
import { createTestDatabase } from '../helpers/database.ts';
import { insertRunningRun } from '../helpers/fixtures.ts';

let database: Database;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.close());

const cell = (position: number) => ({
  ...{ position, edited: 'CONCEPT' as const, method: 'LATENT_DECODE' as const, alpha: position },
  ...{ trials: 2, successes: 1, looseSuccesses: 1, categoryKept: 0 },
  ...{ knownTrials: 1, knownSuccesses: 0, leftOut: 0 },
  ...{ otherPrompts: 0, otherPromptsKept: 0 },
  ...{ texts: 0, textsKept: 0, statements: 0, statementsKept: 0, pairs: [] },
});

it('stores a cell and tells of it once, however often it is handed in', async () => {
  const { db } = database;
  const { id, claim } = await insertRunningRun(db);
  for (const position of [0, 1, 1, 0]) expect(await appendCell(db, claim, cell(position))).toBe(true);
  expect(await listCellPositions(db, id)).toEqual([0, 1]);
  const events = await readEvents(db, id, 0, 100);
  expect(events.flatMap((event) => (event.type === 'CELL' ? event.position : []))).toEqual([0, 1]);
  expect(events.map(({ seq }) => seq)).toEqual(events.map((_, i) => i + 1));
});

it('stores nothing for a worker that no longer holds the run', async () => {
  const { db } = database;
  const { id, claim } = await insertRunningRun(db);
  expect(await appendCell(db, { ...claim, attempt: claim.attempt + 1 }, cell(0))).toBe(false);
  await finishRun(db, claim, {});
  expect(await appendCell(db, claim, cell(0))).toBe(false);
  expect(await listCellPositions(db, id)).toEqual([]);
});
