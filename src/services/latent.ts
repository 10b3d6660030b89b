/** Single latents of SAEs: measured by the engine when somebody asks first, and kept from then on. */
import { readByIds } from '../db/queries/byIds.ts';
import { loadEngineDataset } from '../db/queries/engineDataset.ts';
import {
  insertLatentPages,
  insertLatentTokens,
  type LatentStats,
  type MeasuredOn,
  readLatentPages,
  readLatentTokens,
} from '../db/queries/latentStats.ts';
import { examples } from '../db/tables/index.ts';
import type { LatentPage, LatentSource, LatentTokens } from '../engine/contract/latents.ts';
import { nLatentsOf } from '../engine/contract/sae.ts';
import { invalidInput, notFound } from '../errors.ts';
import type { EngineWork } from './engine.ts';
import { loadSaePair, readSae, type Sae } from './sae.ts';
import { UnderWay } from './underWay.ts';

export type { LatentStats } from '../db/queries/latentStats.ts';
export type { LatentPage, LatentTokens } from '../engine/contract/latents.ts';
export { LATENT_LIST } from '../engine/contract/latents.ts';

/** One latent of an SAE, as it fires on the prompts of a dataset. */
export interface Latent {
  saeId: string;
  /** Null where nobody says on which: then nothing can be measured. */
  datasetId: string | null;
  /** Free latents first, then slots. */
  index: number;
  /** What was measured of all latents, where it has been read along. */
  stats?: LatentStats & { prompts: number };
}

/** A latent of an SAE on the dataset that goes without saying. */
export function latentOf({ id, datasetId }: Pick<Sae, 'id' | 'datasetId'>, index: number): Latent {
  return { saeId: id, datasetId, index };
}

const NO_DATASET = '-';
/** A latent as text, of which batches and global ids are made. */
export const latentKey = ({ saeId, datasetId, index }: Latent) =>
  `${saeId}/${datasetId ?? NO_DATASET}/${index}`;
/** A latent on one example. */
export const latentExampleKey = (latent: Latent, exampleId: string) => `${latentKey(latent)}/${exampleId}`;

/** The latent that `latentKey` made this of. */
export function latentOfKey(key: string): Latent {
  const [saeId, datasetId, index] = key.split('/') as [string, string, string];
  return { saeId, datasetId: datasetId === NO_DATASET ? null : datasetId, index: Number(index) };
}

const pagesUnderWay = new UnderWay<LatentPage>();
const tokensUnderWay = new UnderWay<LatentTokens>();

/** The dataset on which latents of the SAE are measured. @throws AppError INVALID_INPUT where there is none. */
export function measuredOn({ saeId, datasetId }: Pick<Latent, 'saeId' | 'datasetId'>): MeasuredOn {
  if (datasetId !== null) return { saeId, datasetId };
  throw invalidInput(
    ['datasetId'],
    'datasetId is needed: the SAE was imported without a dataset on whose prompts its latents could be measured',
  );
}

/**
 * For each `latentKey` the latent's page, or null where the SAE has no such latent; at most one engine call an SAE, none
 * for pages that are known.
 * @throws AppError NOT_FOUND for the SAE; UNAVAILABLE when the engine cannot be had.
 */
export function latentPages(work: EngineWork, keys: readonly string[]): Promise<(LatentPage | null)[]> {
  return bySae(keys, async (latents) => {
    const on = measuredOn(latents[0]!);
    const sae = await readSae(work.db, on.saeId);
    const exists = ({ index }: Latent) => index >= 0 && index < nLatentsOf(sae.config);
    const asked = [...new Set(latents.filter(exists).map(({ index }) => index))];
    const pages = await readLatentPages(work.db, on, asked);
    const missing = asked.filter((index) => !pages.has(index)).map((index) => ({ ...on, index }));
    const found = await pagesUnderWay.join(missing, latentKey, (own) => measurePages(work, sae, on, own));
    for (const [i, { index }] of missing.entries()) pages.set(index, found[i]!);
    return latents.map(({ index }) => pages.get(index) ?? null);
  });
}

async function measurePages(
  work: EngineWork,
  sae: Sae,
  on: MeasuredOn,
  own: readonly Latent[],
): Promise<LatentPage[]> {
  const latents = own.map(({ index }) => index);
  const found = await withDataset(work, sae, on.datasetId, (source) =>
    work.engine.call('latents', { ...source, latents }),
  );
  const rows = latents.map((index, i) => ({ ...on, index, page: found[i]! }));
  await insertLatentPages(work.db, rows);
  return rows.map(({ page }) => page);
}

/**
 * For each `latentExampleKey` the latent's activation at every token of the example's prompt; as `latentPages`.
 * @throws AppError NOT_FOUND for the SAE or the example; UNAVAILABLE when the engine cannot be had.
 */
export function latentTokens(work: EngineWork, keys: readonly string[]): Promise<LatentTokens[]> {
  return bySae(keys, async (latents, own) => {
    const { saeId } = latents[0]!;
    const asked = own.map((key, i): AskedTokens => {
      const exampleId = key.split('/')[3]!;
      return { index: latents[i]!.index, exampleId, key: `${latents[i]!.index}/${exampleId}` };
    });
    const exampleIds = [...new Set(asked.map(({ exampleId }) => exampleId))];
    const known = await readLatentTokens(work.db, saeId, exampleIds);
    const missing = asked.filter(
      ({ key }, i) => !known.has(key) && asked.findIndex((a) => a.key === key) === i,
    );
    const found = await tokensUnderWay.join(
      missing,
      ({ key }) => `${saeId}/${key}`,
      (alone) => measureTokens(work, saeId, alone),
    );
    for (const [i, { key }] of missing.entries()) known.set(key, found[i]!);
    return asked.map(({ key }) => known.get(key)!);
  });
}

/** A latent and the example at whose tokens it is asked for. */
interface AskedTokens {
  index: number;
  exampleId: string;
  key: string;
}

async function measureTokens(
  work: EngineWork,
  saeId: string,
  own: readonly AskedTokens[],
): Promise<LatentTokens[]> {
  const prompts = await promptsOf(work, own);
  const requests = own.map(({ index }, i) => ({ latent: index, prompt: prompts[i]! }));
  const pair = await loadSaePair(work, await readSae(work.db, saeId));
  const found = await work.engine.call('latentTokens', { ...pair, requests });
  const rows = own.map(({ index, exampleId }, i) => ({ saeId, index, exampleId, tokens: found[i]! }));
  await insertLatentTokens(work.db, rows);
  return found;
}

async function promptsOf({ db }: EngineWork, asked: readonly { exampleId: string }[]): Promise<string[]> {
  const ids = asked.map(({ exampleId }) => exampleId);
  const found = await readByIds(db, examples, examples.id, ids);
  return found.map((example, i) => {
    if (!example) throw notFound('Example', ids[i]!);
    return example.prompt;
  });
}

/** Groups keys by the SAE and the dataset that they begin with; `answer` answers each group in order. */
async function bySae<T>(
  keys: readonly string[],
  answer: (latents: Latent[], keys: readonly string[]) => Promise<readonly T[]>,
): Promise<T[]> {
  const groups = new Map<string, string[]>();
  for (const key of keys) {
    const group = key.split('/').slice(0, 2).join('/');
    groups.set(group, [...(groups.get(group) ?? []), key]);
  }
  const answers = new Map<string, T>();
  for (const own of groups.values()) {
    const found = await answer(own.map(latentOfKey), own);
    for (const [i, key] of own.entries()) answers.set(key, found[i]!);
  }
  return keys.map((key) => answers.get(key)!);
}

/** Asks without the dataset first: the engine most likely has its activations already. */
export async function withDataset<T>(
  work: EngineWork,
  sae: Sae,
  datasetId: string,
  ask: (source: LatentSource) => Promise<T | null>,
): Promise<T> {
  const source = { ...(await loadSaePair(work, sae, datasetId)), datasetId };
  const answer = await ask({ ...source, dataset: null });
  if (answer) return answer;
  // What of a dataset has activations; the rest need not travel.
  const dataset = { ...(await loadEngineDataset(work.db, datasetId)), facts: [], texts: [] };
  return (await ask({ ...source, dataset }))!;
}
