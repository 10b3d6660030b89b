import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Database } from '../../src/db/client.ts';
import { AppError } from '../../src/errors.ts';
import {
  conceptsByIds,
  conceptsOfOntologies,
  createOntology,
  ensureOntology,
  findOntology,
  getOntologyDefinition,
  listOntologies,
  type NewOntology,
  ontologiesByIds,
} from '../../src/services/ontology.ts';
import { createTestDatabase } from '../helpers/database.ts';

let database: Database;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.close());

const people: NewOntology = {
  slug: 'people',
  name: 'People',
  description: 'Who they are.',
  concepts: [{ key: 'boss_of', label: 'boss', description: 'Above.' }, { key: 'home_town' }],
};

describe('createOntology', () => {
  it('stores the concepts in order, with labels made of keys where there are none', async () => {
    const ontology = await createOntology(database.db, people);
    expect(ontology).toMatchObject({
      slug: 'people',
      version: 1,
      name: 'People',
      description: 'Who they are.',
    });
    const [concepts] = await conceptsOfOntologies(database.db, [ontology.id]);
    expect(concepts).toMatchObject([
      { key: 'boss_of', label: 'boss', description: 'Above.', position: 0 },
      { key: 'home_town', label: 'home town', description: '', position: 1 },
    ]);
    expect(await conceptsByIds(database.db, [concepts![1]!.id])).toMatchObject([{ key: 'home_town' }]);
    expect(await getOntologyDefinition(database.db, ontology.id)).toMatchObject({ slug: 'people', concepts });
  });

  it('adds versions one by one and finds the newest', async () => {
    const { db } = database;
    const second = await createOntology(db, { ...people, version: 2, concepts: [{ key: 'boss_of' }] });
    expect(await findOntology(db, 'people')).toEqual(second);
    expect(await findOntology(db, 'people', 1)).toMatchObject({ version: 1 });
    expect(await findOntology(db, 'people', 7)).toBeNull();
    expect(await findOntology(db, 'nobody')).toBeNull();
    for (const version of [undefined, 1, 2, 4]) {
      const failure = createOntology(db, { ...people, version });
      await expect(failure).rejects.toMatchObject({ code: 'CONFLICT' });
      await expect(failure).rejects.toThrow('its newest version is 2; the next is 3');
    }
    await expect(createOntology(db, { ...people, slug: 'new', version: 2 })).rejects.toThrow('the next is 1');
  });

  it('lets only one of several at once have the version', async () => {
    const attempts = Array.from({ length: 5 }, () =>
      createOntology(database.db, { ...people, slug: 'race' }),
    );
    const results = await Promise.allSettled(attempts);
    expect(results.filter((result) => result.status === 'fulfilled')).toHaveLength(1);
    for (const result of results) {
      if (result.status === 'rejected') expect(result.reason).toMatchObject({ code: 'CONFLICT' });
    }
  });

  it.each<[string, unknown, (string | number)[], RegExp]>([
    ['no concepts', { slug: 'a', concepts: [] }, ['concepts'], /at least one concept/],
    [
      'too many',
      { slug: 'a', concepts: new Array(1001).fill({ key: 'k' }) },
      ['concepts'],
      /at most 1000 .* got 1001/,
    ],
    [
      'a repeated key',
      { slug: 'a', concepts: [{ key: 'k' }, { key: 'k' }] },
      ['concepts', '1', 'key'],
      /k is the key of concept 0 already/,
    ],
    ['a bad slug', { slug: 'Two Hop', concepts: [{ key: 'k' }] }, ['slug'], /lower-case letters and digits/],
    [
      'a bad key',
      { slug: 'a', concepts: [{ key: 'birth date' }] },
      ['concepts', '0', 'key'],
      /such as birth_date/,
    ],
    [
      'an empty label',
      { slug: 'a', concepts: [{ key: 'k', label: ' ' }] },
      ['concepts', '0', 'label'],
      /must not be empty/,
    ],
    ['version 0', { slug: 'a', version: 0, concepts: [{ key: 'k' }] }, ['version'], /1/],
    [
      'a null character',
      { slug: 'a', name: 'a\u0000', concepts: [{ key: 'k' }] },
      ['name'],
      /control characters/,
    ],
  ])('refuses %s', async (_, input, path, message) => {
    const error = await createOntology(database.db, input as NewOntology).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(AppError);
    expect(error).toMatchObject({ code: 'INVALID_INPUT', path, message: expect.stringMatching(message) });
    expect(await findOntology(database.db, 'a')).toBeNull();
  });
});

describe('ensureOntology', () => {
  const definition = {
    slug: 'ensured',
    name: 'Ensured',
    description: '',
    concepts: [{ key: 'one', label: 'one', description: '' }],
  };
  const ensure = (concepts = definition.concepts) =>
    database.db.transaction((tx) => ensureOntology(tx, { ...definition, concepts }));

  it('reuses the newest version as long as the concepts are the same', async () => {
    const [first, again] = await Promise.all([ensure(), ensure()]);
    expect(again!.id).toBe(first!.id);
    const wider = await ensure([...definition.concepts, { key: 'two', label: 'two', description: '' }]);
    expect(wider.version).toBe(2);
    expect((await ensure()).version).toBe(3);
    expect((await ensure([{ key: 'one', label: 'uno', description: '' }])).version).toBe(4);
  });
});

describe('listOntologies', () => {
  it('pages through all versions, newest first', async () => {
    const { db } = database;
    const all = await listOntologies(db, { first: 500 });
    const ids = all.edges.map((edge) => edge.node.id);
    expect(await all.totalCount()).toBe(ids.length);
    expect(ids.length).toBeGreaterThan(4);
    const paged: string[] = [];
    for (let after: string | null = null; ; ) {
      const page = await listOntologies(db, { first: 2, after });
      paged.push(...page.edges.map((edge) => edge.node.id));
      if (!page.pageInfo.hasNextPage) break;
      after = page.pageInfo.endCursor;
    }
    expect(paged).toEqual(ids);
    expect((await ontologiesByIds(db, [ids[1]!, crypto.randomUUID()])).map((row) => row?.id)).toEqual([
      ids[1],
      undefined,
    ]);
    await expect(getOntologyDefinition(db, crypto.randomUUID())).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });
});
