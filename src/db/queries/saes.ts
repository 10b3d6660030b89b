/** Stored SAEs by what they come from. */
import { eq, inArray } from 'drizzle-orm';
import type { Executor } from '../client.ts';
import { models, type SaeShape, saes, usedSaes } from '../tables/index.ts';
import { groupRows } from './byIds.ts';
import type { Run } from './runChange.ts';

export type Sae = typeof saes.$inferSelect;

/** For each run the SAEs that it trained, in the order in which they were stored; none before its end. */
export async function saesOfRuns(db: Executor, runIds: readonly string[]): Promise<Sae[][]> {
  const rows = await db
    .select()
    .from(saes)
    .where(inArray(saes.runId, [...runIds]))
    .orderBy(saes.createdAt, saes.id);
  const groups = groupRows(rows, 'runId');
  return runIds.map((id) => groups.get(id) ?? []);
}

/** Notes an SAE that a run has trained and stored; named after the run, or else after its model. */
export async function insertRunSae(
  tx: Executor,
  run: Pick<Run, 'id' | 'name' | 'datasetId' | 'modelId'>,
  { artifactHash, layer, config }: Pick<Sae, 'artifactHash' | 'layer'> & { config: SaeShape },
): Promise<Sae> {
  const { dModel, nFree, nConcepts, activation, k } = config;
  const values = {
    runId: run.id,
    modelId: run.modelId!,
    datasetId: run.datasetId,
    layer,
    config: { dModel, nFree, nConcepts, activation, k },
    artifactHash,
  };
  const name = run.name || (await defaultName(tx, run.modelId!, layer));
  const [sae] = await tx
    .insert(saes)
    .values({ ...values, name })
    .returning();
  return sae!;
}

/** For each run the SAE that it makes use of, or null. */
export async function usedSaeOfRuns(db: Executor, runIds: readonly string[]): Promise<(Sae | null)[]> {
  const rows = await db
    .select({ runId: usedSaes.runId, sae: saes })
    .from(usedSaes)
    .innerJoin(saes, eq(saes.id, usedSaes.saeId))
    .where(inArray(usedSaes.runId, [...runIds]));
  return runIds.map((id) => rows.find(({ runId }) => runId === id)?.sae ?? null);
}

/** What an SAE is called that nobody named. */
export async function defaultName(db: Executor, modelId: string, layer: number): Promise<string> {
  const [model] = await db.select({ name: models.name }).from(models).where(eq(models.id, modelId));
  return `SAE of ${model!.name}, ${layer < 0 ? 'before block 0' : `block ${layer}`}`;
}
