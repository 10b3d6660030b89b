/** What all latents of an SAE come to on the prompts of a dataset: measured once, then listed and searched. */
import {
  bestLatentStats,
  insertSurvey,
  type LatentFilter,
  type LatentOrder,
  type MeasuredOn,
  pageLatentStats,
  readSurvey,
} from '../db/queries/latentStats.ts';
import type { Page, PageArgs } from '../db/queries/page.ts';
import type { LatentSurvey } from '../engine/contract/latents.ts';
import { invalidInput } from '../errors.ts';
import { readDataset } from '../runs/studied.ts';
import { findConcept, readConcepts } from './alignment.ts';
import type { EngineWork } from './engine.ts';
import { type Latent, type LatentStats, measuredOn, withDataset } from './latent.ts';
import type { Sae } from './sae.ts';
import { UnderWay } from './underWay.ts';

export { LATENT_ORDERS, type LatentFilter, type LatentOrder } from '../db/queries/latentStats.ts';

/** A latent that a search for a concept has found. */
export interface LatentMatch {
  latent: Latent;
  /** `max(0, 2 · AUROC − 1)` on TRAIN prompts of the entities that the SAE learned from. */
  separability: number;
  /** On all TEST_OOD prompts; null where the split has no prompt, or only prompts, of the concept. */
  heldOutSeparability: number | null;
}

const surveysUnderWay = new UnderWay<number>();

/**
 * On how many prompts the latents of an SAE have been measured, which is done first where nobody has; seconds for a
 * small SAE, minutes for one of tens of thousands of latents.
 * @throws AppError INVALID_INPUT without a dataset, or one without prompts; UNAVAILABLE when the engine cannot be had.
 */
export async function ensureSurvey(work: EngineWork, sae: Sae, on: MeasuredOn): Promise<number> {
  const known = await readSurvey(work.db, on);
  if (known !== null) return known;
  const keyOf = ({ saeId, datasetId }: MeasuredOn) => `${saeId}/${datasetId}`;
  const [prompts] = await surveysUnderWay.join([on], keyOf, async () => [await survey(work, sae, on)]);
  return prompts!;
}

async function survey(work: EngineWork, sae: Sae, on: MeasuredOn): Promise<number> {
  await readDataset(work.db, on.datasetId);
  const measured: LatentSurvey = await withDataset(work, sae, on.datasetId, (source) =>
    work.engine.call('surveyLatents', source),
  );
  await work.db.transaction((tx) => insertSurvey(tx, on, measured));
  return measured.prompts;
}

export interface LatentList {
  /** On whose prompts; the SAE's own if left out. */
  datasetId?: string | null;
  filter?: LatentFilter | null;
  orderBy?: LatentOrder | null;
}

/** One page of the latents of an SAE. @throws AppError as `ensureSurvey` does. */
export async function listLatents(
  work: EngineWork,
  sae: Sae,
  { datasetId, filter, orderBy }: LatentList,
  args: PageArgs,
): Promise<Page<Latent>> {
  for (const name of ['minDensity', 'maxDensity'] as const) {
    const share = filter?.[name];
    if (share != null && !(share >= 0 && share <= 1))
      throw invalidInput(['filter', name], `${name} must be 0 to 1, got ${share}`);
  }
  const on = measuredOn({ saeId: sae.id, datasetId: datasetId ?? sae.datasetId });
  const prompts = await ensureSurvey(work, sae, on);
  const page = await pageLatentStats(
    work.db,
    { ...on, prompts, nFree: sae.config.nFree },
    filter ?? {},
    orderBy ?? { field: 'INDEX', direction: 'ASC' },
    args,
  );
  return {
    ...page,
    edges: page.edges.map(({ cursor, node }) => ({ cursor, node: toLatent(node, prompts) })),
  };
}

/**
 * The latents of an SAE that tell a concept best, by its key or id, best first.
 * @throws AppError INVALID_INPUT for another ontology's concept, and as `ensureSurvey` does.
 */
export async function searchLatents(
  work: EngineWork,
  sae: Sae,
  { concept, count, datasetId }: { concept: string; count: number; datasetId?: string | null },
): Promise<LatentMatch[]> {
  const on = measuredOn({ saeId: sae.id, datasetId: datasetId ?? sae.datasetId });
  const { position } = findConcept(await readConcepts(work.db, on), concept, ['concept']);
  const prompts = await ensureSurvey(work, sae, on);
  const best = await bestLatentStats(work.db, on, position, count);
  return best.map((stats) => ({
    latent: toLatent(stats, prompts),
    separability: separability(stats.aurocs[position]!)!,
    heldOutSeparability: separability(stats.heldOutAurocs[position]!),
  }));
}

function toLatent(stats: LatentStats, prompts: number): Latent {
  const { saeId, datasetId, index } = stats;
  return { saeId, datasetId, index, stats: { ...stats, prompts } };
}

/** For each concept of the dataset how well the latent tells it; `null` where that has not been read along. */
export function separabilities({ stats }: Latent): (number | null)[] | null {
  return stats ? stats.aurocs.map(separability) : null;
}

function separability(auroc: number): number | null {
  return Number.isNaN(auroc) ? null : Math.max(0, 2 * auroc - 1);
}
