import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Database } from '../../src/db/client.ts';
import { asEngineRun, resultOf, settingsOf } from '../../src/db/queries/runOf.ts';
import { ALIGNMENT_PRESETS } from '../../src/engine/contract/alignmentPresets.ts';
import { ENGINE_KINDS, PARENT_KINDS, RUN_KINDS } from '../../src/engine/contract/runs.ts';
import { tablesOf } from '../../src/runs/index.ts';
import { buildSchema } from '../../src/schema/schema.ts';
import { createTestDatabase } from '../helpers/database.ts';
import { insertQueuedRun } from '../helpers/fixtures.ts';

let database: Database;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.close());

test('the settings and the result of a run are read as those of its own kind, and of no other', async () => {
  const run = await insertQueuedRun(database.db, { kind: 'BASELINE', settings: { layer: 3 } });
  expect(settingsOf(run, 'ALIGNMENT', 'BASELINE').layer).toBe(3);
  expect(resultOf(run, 'BASELINE')).toBeNull();
  expect(() => settingsOf(run, 'ALIGNMENT')).toThrow(`run ${run.id} is of kind BASELINE, not ALIGNMENT`);
  expect(() => resultOf(run, 'MODEL')).toThrow('not MODEL');
});

test('settings that an older version stored get the defaults of what it did not have, also within others', async () => {
  const { PAPER } = ALIGNMENT_PRESETS;
  const { decoderNorm: _, weights, ...others } = PAPER;
  const { aux: __, ...older } = { ...weights, ortho: 7 };
  const settings = { ...others, layer: 3, weights: older };
  const run = await insertQueuedRun(database.db, { kind: 'ALIGNMENT', settings });
  const read = { ...PAPER, layer: 3, weights: { ...PAPER.weights, ortho: 7 } };
  expect(settingsOf(run, 'ALIGNMENT')).toEqual(read);
  expect(asEngineRun(run).settings).toEqual(read);
  const sweep = { layers: [3], seeds: [0], alignment: settings };
  const parent = await insertQueuedRun(database.db, { kind: 'ALIGNMENT_SWEEP', settings: sweep });
  expect(settingsOf(parent, 'ALIGNMENT_SWEEP')).toEqual({ ...sweep, alignment: read });
});

test('a run that follows its parts has no job', async () => {
  expect([...ENGINE_KINDS, ...PARENT_KINDS].sort()).toEqual([...RUN_KINDS].sort());
  expect(PARENT_KINDS).toEqual(['ALIGNMENT_SWEEP', 'GROKKING']);
  const run = await insertQueuedRun(database.db, { kind: 'GROKKING' });
  expect(() => asEngineRun(run)).toThrow('has no job of its own');
  expect(asEngineRun(await insertQueuedRun(database.db, { kind: 'MODEL' })).kind).toBe('MODEL');
});

test('every kind has metrics and events to take out, and a type that follows from its name', () => {
  const types = buildSchema().getTypeMap();
  for (const kind of RUN_KINDS) {
    expect(Object.keys(tablesOf(kind)).slice(0, 2)).toEqual(['metrics', 'events']);
    const words = kind.toLowerCase().split('_');
    const name = `${words.map((word) => word[0]!.toUpperCase() + word.slice(1)).join('')}Run`;
    expect(types[name], name).toBeDefined();
  }
});
