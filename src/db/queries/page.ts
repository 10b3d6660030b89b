/** Keyset pagination in the terms of Relay connections, for any table with a stable order. */
import { and, asc, count, desc, eq, getTableColumns, type SQL, sql } from 'drizzle-orm';
import type { PgColumn, PgTable } from 'drizzle-orm/pg-core';
import { invalidInput } from '../../errors.ts';
import type { Executor } from '../client.ts';
import { columnsWithout, groupRows, isAnyOf, keyOf, type RowWithout } from './byIds.ts';
import { decodeCursor, encodeCursor } from './cursor.ts';

export const DEFAULT_PAGE = 20;
export const MAX_PAGE = 500;

/** Relay's arguments as they came in. */
export interface PageArgs {
  first?: number | null;
  after?: string | null;
  last?: number | null;
  before?: string | null;
}

export interface Order {
  /** Not null, and unique together: such as `[runs.createdAt, runs.id]` or `[concepts.position]`. */
  columns: readonly [PgColumn, ...PgColumn[]];
  direction: 'asc' | 'desc';
}

export interface PageQuery<K extends PropertyKey = never> {
  where?: SQL;
  order: Order;
  /** Columns that the rows go without, as they may be large. */
  without?: readonly K[];
}

export interface Page<Row> {
  edges: { cursor: string; node: Row }[];
  pageInfo: {
    hasNextPage: boolean;
    hasPreviousPage: boolean;
    startCursor: string | null;
    endCursor: string | null;
  };
  /** Rows of all pages; counted when first asked for. */
  totalCount(): Promise<number>;
}

type Row<T extends PgTable> = T['$inferSelect'];

/**
 * One page of `table`.
 *
 * @throws AppError INVALID_INPUT for a page size out of range, `first` with `last`, or a foreign cursor.
 */
export async function readPage<T extends PgTable, K extends keyof Row<T> = never>(
  db: Executor,
  table: T,
  query: PageQuery<K>,
  args: PageArgs,
): Promise<Page<RowWithout<T, K>>> {
  const plan = planPage(query, args);
  const rows = (await db
    .select(columnsWithout(table, query.without ?? []))
    .from(table as PgTable)
    .where(plan.where)
    .orderBy(...plan.orderBy)
    .limit(plan.size + 1)) as Row<T>[];
  return toPage(table, query, args, plan, rows, async () => {
    const [total] = await db
      .select({ n: count() })
      .from(table as PgTable)
      .where(query.where);
    return total!.n;
  });
}

/**
 * The same page of each of several lists at once, such as the slots of every concept on screen: the rows whose
 * `by` column has one of `values`, by that value. Two statements at most, however many values.
 *
 * @throws AppError INVALID_INPUT as `readPage` does.
 */
export async function readPages<T extends PgTable>(
  db: Executor,
  table: T,
  query: PageQuery & { by: PgColumn; values: readonly string[] },
  args: PageArgs,
): Promise<Map<string, Page<Row<T>>>> {
  if (query.values.length === 0) return new Map();
  const [only] = query.values;
  if (query.values.length === 1)
    return new Map([
      [only!, await readPage(db, table, { ...query, where: and(eq(query.by, only), query.where) }, args)],
    ]);
  const plan = planPage(query, args);
  const ours = isAnyOf(query.by, query.values);
  const rank = sql<number>`row_number() over (partition by ${query.by} order by ${sql.join(plan.orderBy, sql`, `)})`;
  const ranked = db
    .select({ ...getTableColumns(table as PgTable), rank: rank.as('rank') })
    .from(table as PgTable)
    .where(and(ours, plan.where))
    .as('ranked');
  const rows = await db
    .select()
    .from(ranked)
    .where(sql`${ranked.rank} <= ${plan.size + 1}`)
    .orderBy(ranked.rank);
  const lists = groupRows(
    rows.map(({ rank: _, ...row }) => row),
    keyOf(table, query.by),
  );
  let totals: Promise<Map<string, number>> | undefined;
  const countAll = () => {
    totals ??= countBy(db, table, query.by, and(ours, query.where));
    return totals;
  };
  return new Map(
    query.values.map((value) => {
      const own = (lists.get(value) ?? []) as Row<T>[];
      return [value, toPage(table, query, args, plan, own, async () => (await countAll()).get(value) ?? 0)];
    }),
  );
}

interface Plan {
  size: number;
  where: SQL | undefined;
  orderBy: SQL[];
  /** Read from the end, so the rows arrive in reverse. */
  backwards: boolean;
}

function planPage(query: Omit<PageQuery, 'without'>, args: PageArgs): Plan {
  if (args.first != null && args.last != null) {
    throw invalidInput(['last'], 'first and last exclude each other; give one of them');
  }
  const backwards = args.last != null;
  const size = checkSize(backwards ? 'last' : 'first', args.last ?? args.first ?? DEFAULT_PAGE);
  const { columns, direction } = query.order;
  const ascending = (direction === 'asc') !== backwards;
  return {
    size,
    backwards,
    where: and(
      query.where,
      args.after == null ? undefined : beyond(query.order, 'after', args.after),
      args.before == null ? undefined : beyond(query.order, 'before', args.before),
    ),
    orderBy: columns.map((column) => (ascending ? asc(column) : desc(column))),
  };
}

/** @throws AppError INVALID_INPUT naming the argument. */
export function checkSize(argument: string, size: number): number {
  if (Number.isInteger(size) && size >= 0 && size <= MAX_PAGE) return size;
  throw invalidInput([argument], `${argument} must be 0–${MAX_PAGE}, got ${size}`);
}

/** Row comparison, which Postgres can answer from the index over the same columns. */
function beyond({ columns, direction }: Order, argument: 'after' | 'before', cursor: string): SQL {
  const values = decodeCursor(columns, cursor, argument);
  const own = sql.join([...columns], sql`, `);
  const given = sql.join(
    values.map((value, i) => sql.param(value, columns[i])),
    sql`, `,
  );
  const larger = (argument === 'after') === (direction === 'asc');
  return larger ? sql`(${own}) > (${given})` : sql`(${own}) < (${given})`;
}

function toPage<T extends PgTable>(
  table: T,
  { order }: Pick<PageQuery, 'order'>,
  args: PageArgs,
  { size, backwards }: Plan,
  rows: Row<T>[],
  totalCount: () => Promise<number>,
): Page<Row<T>> {
  const more = rows.length > size;
  const kept = rows.slice(0, size);
  if (backwards) kept.reverse();
  const keys = order.columns.map((column) => keyOf(table, column));
  const edges = kept.map((node) => ({
    node,
    // Written when it is asked for, which it seldom is.
    get cursor() {
      return encodeCursor(
        order.columns,
        keys.map((key) => node[key]),
      );
    },
  }));
  return {
    edges,
    pageInfo: {
      hasNextPage: backwards ? args.before != null : more,
      hasPreviousPage: backwards ? more : args.after != null,
      get startCursor() {
        return edges[0]?.cursor ?? null;
      },
      get endCursor() {
        return edges.at(-1)?.cursor ?? null;
      },
    },
    totalCount,
  };
}

async function countBy(
  db: Executor,
  table: PgTable,
  by: PgColumn,
  where: SQL | undefined,
): Promise<Map<string, number>> {
  const rows = await db.select({ key: by, n: count() }).from(table).where(where).groupBy(by);
  return new Map(rows.map((row) => [row.key as string, row.n]));
}
