/** Grokking runs as they are read: points in the order of training, onsets, and how slots come to point as they end. */
import { and, asc, eq, getTableColumns, inArray, isNotNull } from 'drizzle-orm';
import type { Executor } from '../db/client.ts';
import { groupRows, readGroups } from '../db/queries/byIds.ts';
import { type Page, type PageArgs, readPages } from '../db/queries/page.ts';
import type { Run } from '../db/queries/runs.ts';
import {
  grokkingBindings,
  grokkingLastBindings,
  grokkingPoints,
  modelCheckpoints,
  models,
  runs,
} from '../db/tables/index.ts';
import type { Model } from './model.ts';

const { directions: _, ...BINDING_COLUMNS } = getTableColumns(grokkingBindings);

export type HopBinding = Omit<typeof grokkingBindings.$inferSelect, 'directions'>;
export type GrokkingPoint = typeof grokkingPoints.$inferSelect & { hops: HopBinding[] };

/** Share of questions at which a model has memorized, or generalizes. */
const LEARNT = 0.95;
/** Diagonal strength at which a hop is bound. */
const BOUND = 0.9;

/** Steps of the first checkpoints that are so far; null where none is (yet). */
export interface Onset {
  memorization: number | null;
  generalization: number | null;
  binding: number | null;
  /** From memorization to generalization; null until both are there. */
  gap: number | null;
}

/** For each grokking run the points told of so far, in the order of training. */
export async function pointsOfRuns(db: Executor, runIds: readonly string[]): Promise<GrokkingPoint[][]> {
  const points = await readPoints(
    db,
    and(inArray(grokkingPoints.runId, [...runIds]), isNotNull(grokkingPoints.seq)),
  );
  const groups = groupRows(points as (GrokkingPoint & Record<string, unknown>)[], 'runId');
  return runIds.map((id) => groups.get(id) ?? []);
}

/** The point of a grokking run at this step. */
export async function readPoint(db: Executor, runId: string, step: number): Promise<GrokkingPoint> {
  const [point] = await readPoints(db, and(eq(grokkingPoints.runId, runId), eq(grokkingPoints.step, step)));
  return point!;
}

async function readPoints(db: Executor, where: ReturnType<typeof and>): Promise<GrokkingPoint[]> {
  const rows = await db
    .select({ point: grokkingPoints, hop: BINDING_COLUMNS })
    .from(grokkingPoints)
    .innerJoin(
      grokkingBindings,
      and(eq(grokkingBindings.runId, grokkingPoints.runId), eq(grokkingBindings.step, grokkingPoints.step)),
    )
    .where(where)
    .orderBy(asc(grokkingPoints.runId), asc(grokkingPoints.step), asc(grokkingBindings.hop));
  const points: GrokkingPoint[] = [];
  for (const { point, hop } of rows) {
    const last = points.at(-1);
    if (last?.runId === point.runId && last.step === point.step) last.hops.push(hop);
    else points.push({ ...point, hops: [hop] });
  }
  return points;
}

/** METHOD's onsets, of the points so far; both hops must be bound for binding to have begun. */
export function onsetOf(points: readonly GrokkingPoint[]): Onset {
  const first = (is: (point: GrokkingPoint) => boolean) => points.find(is)?.step ?? null;
  const memorization = first((point) => shareOf(point.trainCorrect, point.trainQuestions) >= LEARNT);
  const generalization = first((point) => shareOf(point.heldOutCorrect, point.heldOutQuestions) >= LEARNT);
  const binding = first(({ hops }) => hops.every(({ diagonalStrength }) => diagonalStrength >= BOUND));
  const gap = memorization === null || generalization === null ? null : generalization - memorization;
  return { memorization, generalization, binding, gap };
}

const shareOf = (correct: number, questions: number) => (questions === 0 ? 0 : correct / questions);

/**
 * For each grokking run, by step and hop (`slotKey`), the cosine of each concept's slot direction with that at the
 * last checkpoint; null until the last is there.
 */
export async function slotCosinesOfRuns(
  db: Executor,
  runIds: readonly string[],
): Promise<(ReadonlyMap<string, number[]> | null)[]> {
  const rows = await db
    .select({ ...getTableColumns(grokkingBindings) })
    .from(grokkingBindings)
    .innerJoin(
      grokkingPoints,
      and(eq(grokkingPoints.runId, grokkingBindings.runId), eq(grokkingPoints.step, grokkingBindings.step)),
    )
    .innerJoin(runs, eq(runs.id, grokkingBindings.runId))
    .where(and(inArray(runs.id, [...runIds]), eq(runs.status, 'SUCCEEDED'), isNotNull(grokkingPoints.seq)))
    .orderBy(asc(grokkingBindings.step));
  const groups = groupRows(rows, 'runId');
  return runIds.map((id) => {
    const own = groups.get(id);
    return own ? cosinesWithLast(own) : null;
  });
}

export const slotKey = ({ step, hop }: Pick<HopBinding, 'step' | 'hop'>) => `${step}/${hop}`;

function cosinesWithLast(rows: readonly (typeof grokkingBindings.$inferSelect)[]): Map<string, number[]> {
  const lastOf = new Map(rows.map((row) => [row.hop, row.directions]));
  return new Map(
    rows.map(({ step, hop, matrix, directions }) => {
      const dModel = directions.length / matrix.length;
      const last = lastOf.get(hop)!;
      const cosines = matrix.map((_, concept) =>
        cosine(
          directions.slice(concept * dModel, (concept + 1) * dModel),
          last.slice(concept * dModel, (concept + 1) * dModel),
        ),
      );
      return [slotKey({ step, hop }), cosines];
    }),
  );
}

function cosine(a: readonly number[], b: readonly number[]): number {
  const dot = (x: readonly number[], y: readonly number[]) =>
    x.reduce((sum, value, i) => sum + value * y[i]!, 0);
  const norms = Math.sqrt(dot(a, a) * dot(b, b));
  return norms === 0 ? 0 : dot(a, b) / norms;
}

/** For each grokking run how the SAEs of its last checkpoint read all; nothing before they are there. */
export function lastBindingsOfRuns(db: Executor, runIds: readonly string[]): Promise<HopBinding[][]> {
  const { runId, step, hop } = grokkingLastBindings;
  return readGroups(db, grokkingLastBindings, runId, runIds, [step, hop]);
}

/** For each grokking run the training that is part of it; null where it studies models that were there. */
export async function trainingsOfRuns(db: Executor, runIds: readonly string[]): Promise<(Run | null)[]> {
  const rows = await db
    .select()
    .from(runs)
    .where(and(inArray(runs.parentId, [...runIds]), eq(runs.kind, 'MODEL')));
  return runIds.map((id) => rows.find(({ parentId }) => parentId === id) ?? null);
}

/** For each grokking run one page of its analyses, in the order of training. */
export function pageAnalysesOfRuns(
  db: Executor,
  runIds: readonly string[],
  args: PageArgs,
): Promise<Map<string, Page<Run>>> {
  const order = { columns: [runs.step, runs.id], direction: 'asc' } as const;
  const where = eq(runs.kind, 'CHECKPOINT_ANALYSIS');
  return readPages(db, runs, { where, by: runs.parentId, values: runIds, order }, args);
}

export interface ModelCheckpoint {
  step: number;
  model: Model;
}

/** For each training run the models that it kept, in the order of training. */
export async function checkpointsOfRuns(
  db: Executor,
  runIds: readonly string[],
): Promise<ModelCheckpoint[][]> {
  const rows = await db
    .select({ runId: modelCheckpoints.runId, step: modelCheckpoints.step, model: models })
    .from(modelCheckpoints)
    .innerJoin(models, eq(models.id, modelCheckpoints.modelId))
    .where(inArray(modelCheckpoints.runId, [...runIds]))
    .orderBy(asc(modelCheckpoints.step));
  const groups = groupRows(rows, 'runId');
  return runIds.map((id) => groups.get(id) ?? []);
}
