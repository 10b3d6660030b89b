/**
 * Results of a run as rows, however many. They are read in pages of short statements that go on behind the last row:
 * a client that reads slowly holds neither a connection nor a snapshot, and one that leaves costs one page.
 */
import { sql } from 'drizzle-orm';
import type { Executor } from '../db/client.ts';
import type { Run } from '../db/queries/runs.ts';
import type { RunKind } from '../engine/contract/runs.ts';
import { AppError } from '../errors.ts';
import { listOf, tablesOf } from '../runs/index.ts';
import type { ResultTable } from '../runs/table.ts';

export type { Column, ResultTable } from '../runs/table.ts';

export const EXPORT_FORMATS = ['jsonl', 'csv'] as const;
export type ExportFormat = (typeof EXPORT_FORMATS)[number];

type Row = Record<string, unknown>;

const PAGE_ROWS = 500;

/** What a run of this kind has to take out, by name. */
export function exportsOf(kind: RunKind): { name: string; table: ResultTable }[] {
  return Object.entries(tablesOf(kind)).map(([name, table]) => ({ name, table }));
}

/** @throws AppError NOT_FOUND naming those that there are. */
export function findExport({ kind }: Pick<Run, 'kind'>, name: string): ResultTable {
  const tables = tablesOf(kind);
  if (Object.hasOwn(tables, name)) return tables[name]!;
  const names = Object.keys(tables).join(', ');
  throw new AppError('NOT_FOUND', `a run of kind ${kind} has no export "${name}"; it has ${names}`);
}

/** Rows as Postgres gives them, page by page in the order of the table's key. */
export async function* readExport(
  db: Executor,
  runId: string,
  { rows, key }: ResultTable,
): AsyncGenerator<Row[]> {
  const columns = sql.join(
    key.map((name) => sql.identifier(name)),
    sql`, `,
  );
  let after = sql``;
  for (;;) {
    const { rows: page } = await db.execute<Row>(
      sql`select * from (${rows(listOf([runId]))}) as result ${after} order by ${columns} limit ${PAGE_ROWS}`,
    );
    if (page.length > 0) yield page;
    if (page.length < PAGE_ROWS) return;
    const last = page.at(-1)!;
    const values = key.map((name) => sql.param(last[name]));
    after = sql`where (${columns}) > (${sql.join(values, sql`, `)})`;
  }
}
