/**
 * Results of a run as rows, however many. They are read in pages of short statements that go on behind the last row:
 * a client that reads slowly holds neither a connection nor a snapshot, and one that leaves costs one page.
 */
import { sql } from 'drizzle-orm';
import type { Executor } from '../db/client.ts';
import type { Run } from '../db/queries/runs.ts';
import type { RunKind } from '../db/tables/index.ts';
import { AppError } from '../errors.ts';
import { EXPORT_TABLES, type ExportTable } from './exportTables.ts';

export const EXPORT_FORMATS = ['jsonl', 'csv'] as const;
export type ExportFormat = (typeof EXPORT_FORMATS)[number];

type Row = Record<string, unknown>;

const PAGE_ROWS = 500;

/** What a run of this kind has to take out, by name. */
export function exportsOf(kind: RunKind): { name: string; table: ExportTable }[] {
  return Object.entries(EXPORT_TABLES)
    .filter(([, { kinds }]) => kinds === null || kinds.includes(kind))
    .map(([name, table]) => ({ name, table }));
}

/** @throws AppError NOT_FOUND naming those that there are. */
export function findExport({ kind }: Pick<Run, 'kind'>, name: string): ExportTable {
  const known = exportsOf(kind);
  const found = known.find((each) => each.name === name);
  if (found) return found.table;
  const names = known.map((each) => each.name).join(', ');
  throw new AppError('NOT_FOUND', `a run of kind ${kind} has no export "${name}"; it has ${names}`);
}

/** Rows as Postgres gives them, page by page in the order of the table's key. */
export async function* readExport(
  db: Executor,
  runId: string,
  { rows, key }: ExportTable,
): AsyncGenerator<Row[]> {
  const columns = sql.join(
    key.map((name) => sql.identifier(name)),
    sql`, `,
  );
  let after = sql``;
  for (;;) {
    const { rows: page } = await db.execute<Row>(
      sql`select * from (${rows(runId)}) as result ${after} order by ${columns} limit ${PAGE_ROWS}`,
    );
    if (page.length > 0) yield page;
    if (page.length < PAGE_ROWS) return;
    const last = page.at(-1)!;
    const values = key.map((name) => sql.param(last[name]));
    after = sql`where (${columns}) > (${sql.join(values, sql`, `)})`;
  }
}
