/** How the slots of alignments bind while they are trained. */
import { and, asc, desc, eq, inArray, lte } from 'drizzle-orm';
import type { Executor } from '../db/client.ts';
import { groupRows } from '../db/queries/byIds.ts';
import { bindingLooks } from '../db/tables/index.ts';

export type BindingLook = typeof bindingLooks.$inferSelect;

/** For each run the steps at which its slots were looked at. */
export async function lookStepsOfRuns(db: Executor, runIds: readonly string[]): Promise<number[][]> {
  const rows = await db
    .select({ runId: bindingLooks.runId, step: bindingLooks.step })
    .from(bindingLooks)
    .where(inArray(bindingLooks.runId, [...runIds]))
    .orderBy(asc(bindingLooks.step));
  const looks = groupRows(rows, 'runId');
  return runIds.map((id) => (looks.get(id) ?? []).map(({ step }) => step));
}

/** The newest look at a step or before it; null where there is none. */
export async function readLook(
  db: Executor,
  runId: string,
  step: number | null,
): Promise<BindingLook | null> {
  const [look] = await db
    .select()
    .from(bindingLooks)
    .where(and(eq(bindingLooks.runId, runId), step === null ? undefined : lte(bindingLooks.step, step)))
    .orderBy(desc(bindingLooks.step))
    .limit(1);
  return look ?? null;
}

/** The counts as rows, one a concept. */
export function matrixOf({ counts }: BindingLook): number[][] {
  const n = Math.sqrt(counts.length);
  return Array.from({ length: n }, (_, concept) => counts.slice(concept * n, (concept + 1) * n));
}
