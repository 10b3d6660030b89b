import { eq } from 'drizzle-orm';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Database } from '../../src/db/client.ts';
import { readByIds } from '../../src/db/queries/byIds.ts';
import { type PageArgs, type PageQuery, readPage, readPages } from '../../src/db/queries/page.ts';
import { concepts, datasets, ontologies } from '../../src/db/tables/index.ts';
import { createTestDatabase } from '../helpers/database.ts';

let database: Database;
let ids: string[];
const newestFirst: PageQuery = {
  order: { columns: [ontologies.createdAt, ontologies.id], direction: 'desc' },
};

beforeAll(async () => {
  database = await createTestDatabase();
  // Three share an instant, so that only the id tells them apart.
  const rows = await database.db
    .insert(ontologies)
    .values(
      Array.from({ length: 7 }, (_, i) => ({
        slug: `o-${i}`,
        version: 1,
        name: `${i}`,
        createdAt: new Date(Date.UTC(2030, 0, 1, 0, 0, 0, i < 3 ? 123 : i)),
      })),
    )
    .returning();
  ids = rows
    .sort((a, b) => b.createdAt.getTime() - a.createdAt.getTime() || (a.id < b.id ? 1 : -1))
    .map((row) => row.id);
  await database.db.insert(concepts).values(
    rows.slice(0, 2).flatMap((row, o) =>
      Array.from({ length: 3 + o }, (_, position) => ({
        ontologyId: row.id,
        key: `k${position}`,
        label: 'k',
        position,
      })),
    ),
  );
});
afterAll(() => database.close());

const page = (args: PageArgs) => readPage(database.db, ontologies, newestFirst, args);
const idsOf = (result: Awaited<ReturnType<typeof page>>) => result.edges.map((edge) => edge.node.id);

describe('readPage', () => {
  test('walks forwards over every row once, whatever ties there are', async () => {
    const seen: string[] = [];
    let after: string | null = null;
    for (let more = true; more; ) {
      const result = await page({ first: 2, after });
      seen.push(...idsOf(result));
      expect(await result.totalCount()).toBe(7);
      expect(result.pageInfo.hasPreviousPage).toBe(after !== null);
      after = result.pageInfo.endCursor;
      more = result.pageInfo.hasNextPage;
    }
    expect(seen).toEqual(ids);
  });

  test('walks backwards in the same order', async () => {
    const last = await page({ last: 3 });
    expect(idsOf(last)).toEqual(ids.slice(4));
    expect(last.pageInfo).toMatchObject({ hasNextPage: false, hasPreviousPage: true });
    const before = await page({ last: 10, before: last.pageInfo.startCursor });
    expect(idsOf(before)).toEqual(ids.slice(0, 4));
    expect(before.pageInfo).toMatchObject({ hasNextPage: true, hasPreviousPage: false });
  });

  test('a cursor stays good when its row is gone', async () => {
    const result = await page({ first: 3 });
    const [gone] = await database.db
      .insert(ontologies)
      .values({ slug: 'gone', version: 1, name: 'gone', createdAt: new Date(Date.UTC(2031, 0, 1)) })
      .returning();
    const cursor = (await page({ first: 1 })).edges[0]!.cursor;
    await database.db.delete(ontologies).where(eq(ontologies.id, gone!.id));
    expect(idsOf(await page({ first: 3, after: cursor }))).toEqual(idsOf(result));
  });

  test('counts and reads within the filter', async () => {
    const result = await readPage(
      database.db,
      ontologies,
      { ...newestFirst, where: eq(ontologies.slug, 'o-5') },
      {},
    );
    expect(result.edges.map((edge) => edge.node.slug)).toEqual(['o-5']);
    expect(await result.totalCount()).toBe(1);
  });

  test('an empty page has no cursors', async () => {
    const result = await page({ first: 0 });
    expect(result.edges).toEqual([]);
    expect(result.pageInfo).toMatchObject({ startCursor: null, endCursor: null, hasNextPage: true });
  });

  test.each<[string, PageArgs, RegExp]>([
    ['first', { first: 501 }, /first must be 0–500, got 501/],
    ['last', { last: -1 }, /last must be 0–500, got -1/],
    ['last', { first: 1, last: 1 }, /exclude each other/],
    ['after', { after: 'x' }, /after is not a cursor of this list/],
    [
      'before',
      { before: Buffer.from('["ontologies:created_at,id","now","y"]').toString('base64url') },
      /before/,
    ],
  ])('refuses a bad %s', async (argument, args, message) => {
    await expect(page(args)).rejects.toMatchObject({
      code: 'INVALID_INPUT',
      path: [argument],
      message: expect.stringMatching(message),
    });
  });

  test("refuses another list's cursor", async () => {
    const { endCursor } = (await page({ first: 1 })).pageInfo;
    const order = { columns: [datasets.createdAt, datasets.id], direction: 'desc' } as const;
    await expect(readPage(database.db, datasets, { order }, { after: endCursor })).rejects.toMatchObject({
      code: 'INVALID_INPUT',
    });
  });
});

describe('readPages', () => {
  const order = { columns: [concepts.position], direction: 'asc' } as const;

  test('reads the same page of each list', async () => {
    const [a, b, empty] = ids;
    const query = { order, by: concepts.ontologyId, values: [a!, b!, empty!] };
    const first = await readPages(database.db, concepts, query, { first: 2 });
    expect(first.get(a!)!.edges.map((edge) => edge.node.position)).toEqual([0, 1]);
    expect(first.get(a!)!.edges[0]!.node).not.toHaveProperty('rank');
    expect(await first.get(a!)!.totalCount()).toBe(3);
    expect(await first.get(b!)!.totalCount()).toBe(4);
    expect(first.get(empty!)).toMatchObject({ edges: [], pageInfo: { hasNextPage: false } });
    const after = first.get(b!)!.pageInfo.endCursor;
    const next = await readPages(database.db, concepts, query, { first: 2, after });
    expect(next.get(a!)!.edges.map((edge) => edge.node.position)).toEqual([2]);
    expect(next.get(b!)!.edges.map((edge) => edge.node.position)).toEqual([2, 3]);
    const last = await readPages(database.db, concepts, query, { last: 1 });
    expect(last.get(b!)!.edges.map((edge) => edge.node.position)).toEqual([3]);
  });
});

test('readByIds answers in the order asked, with null for what is missing', async () => {
  const missing = '00000000-0000-4000-8000-000000000000';
  const rows = await readByIds(database.db, ontologies, ontologies.id, [ids[3]!, missing, ids[0]!]);
  expect(rows.map((row) => row?.id ?? null)).toEqual([ids[3], null, ids[0]]);
});
