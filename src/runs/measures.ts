/** Everything that has been measured of runs of any kinds, read from the tables that are also taken out as files. */
import { and, asc, count, eq, inArray, sql } from 'drizzle-orm';
import type { Executor } from '../db/client.ts';
import type { Run } from '../db/queries/runs.ts';
import { examples, models } from '../db/tables/index.ts';
import { listOf, tablesOf } from './index.ts';
import { type Measure, shareOf } from './measure.ts';
import type { ResultTable } from './table.ts';

type ByRun = Map<string, Measure[]>;

/** For each run all of its measures. */
export async function measuresOf(db: Executor, runs: readonly Run[]): Promise<Measure[][]> {
  const runsOf = new Map<ResultTable, string[]>();
  for (const { id, kind } of runs)
    for (const table of Object.values(tablesOf(kind)))
      if (table.measures) runsOf.set(table, [...(runsOf.get(table) ?? []), id]);
  const found = await Promise.all([
    readModelAccuracy(db, runs),
    ...[...runsOf].map(([table, ids]) => readMeasures(db, table, ids)),
  ]);
  return runs.map(({ id }) => found.flatMap((byRun) => byRun.get(id) ?? []));
}

async function readMeasures(db: Executor, table: ResultTable, runIds: readonly string[]): Promise<ByRun> {
  const order = table.key.map((name) => sql.identifier(name));
  const { rows } = await db.execute(
    sql`select * from (${table.rows(listOf(runIds))}) as result order by ${sql.join(order, sql`, `)}`,
  );
  const byRun: ByRun = new Map();
  for (const row of rows) add(byRun, row.runId as string, table.measures!(row));
  return byRun;
}

/** Of the model that a run made or studies, on the questions of the dataset that the model was trained on. */
async function readModelAccuracy(db: Executor, runs: readonly Run[]): Promise<ByRun> {
  const modelIds = runs.flatMap(({ modelId }) => modelId ?? []);
  const rows = await db
    .select({ id: models.id, accuracy: models.accuracy, split: examples.split, trials: count() })
    .from(models)
    .innerJoin(examples, and(eq(examples.datasetId, models.datasetId), eq(examples.kind, 'QUESTION')))
    .where(inArray(models.id, modelIds))
    .groupBy(models.id, examples.split)
    .orderBy(asc(examples.split));
  const byRun: ByRun = new Map();
  for (const run of runs)
    for (const { id, accuracy, split, trials } of rows) {
      const value = accuracy[split];
      if (id === run.modelId && value !== undefined)
        add(byRun, run.id, shareOf('MODEL_ACCURACY', value, trials, { split }));
    }
  return byRun;
}

function add(byRun: ByRun, runId: string, measures: readonly Measure[]): void {
  const own = byRun.get(runId);
  if (own) own.push(...measures);
  else byRun.set(runId, [...measures]);
}
