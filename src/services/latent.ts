/** Single latents of finished SAEs, looked at by the engine when somebody asks. */

import type { Executor } from '../db/client.ts';
import { readByIds } from '../db/queries/byIds.ts';
import { loadEngineDataset } from '../db/queries/engineDataset.ts';
import { examples } from '../db/tables/index.ts';
import type { EngineDataset } from '../engine/contract/dataset.ts';
import type { LatentMatch, LatentPage, LatentSource, LatentTokens } from '../engine/contract/latents.ts';
import { invalidInput, notFound } from '../errors.ts';
import { findConcept, loadPair, readConcepts } from './alignment.ts';
import type { EngineWork } from './engine.ts';
import { type Run, runsByIds } from './run.ts';

export type { LatentMatch, LatentPage, LatentTokens } from '../engine/contract/latents.ts';
export { LATENT_LIST } from '../engine/contract/latents.ts';

/** One latent of the SAE that a run has trained. */
export interface Latent {
  runId: string;
  /** Free latents first, then slots. */
  index: number;
}

/** A latent, as text that batches can be made of. */
export const latentKey = ({ runId, index }: Latent) => `${runId}/${index}`;
/** A latent on one example. */
export const latentExampleKey = (latent: Latent, exampleId: string) => `${latentKey(latent)}/${exampleId}`;

/** Whether the run has an SAE with latents to look at. */
export function hasLatents({ kind, status, artifactHash }: Run): boolean {
  return (kind === 'ALIGNMENT' || kind === 'BASELINE') && status === 'SUCCEEDED' && artifactHash !== null;
}

/**
 * For each `latentKey` the latent's page, or null where the SAE has no such latent; one engine call a run.
 * @throws AppError UNAVAILABLE when the engine cannot be had.
 */
export function latentPages(work: EngineWork, keys: readonly string[]): Promise<(LatentPage | null)[]> {
  return byRun(work, keys, async (run, rows) => {
    const latents = rows.map(([index]) => Number(index));
    return withDataset(work, run, (source) => work.engine.call('latents', { ...source, latents }));
  });
}

/**
 * For each `latentExampleKey` the latent's activation at every token of the example's prompt; one engine call a run.
 * @throws AppError NOT_FOUND for the example; UNAVAILABLE when the engine cannot be had.
 */
export function latentTokens(work: EngineWork, keys: readonly string[]): Promise<LatentTokens[]> {
  return byRun(work, keys, async (run, rows) => {
    const ids = rows.map(([, exampleId]) => exampleId!);
    const found = await readByIds(work.db, examples, examples.id, ids);
    const requests = rows.map(([index], i) => {
      const example = found[i];
      if (!example) throw notFound('Example', ids[i]!);
      return { latent: Number(index), prompt: example.prompt };
    });
    return work.engine.call('latentTokens', { ...(await loadPair(work, run)), requests });
  });
}

/**
 * The latents of a run that tell a concept best, by its key or id; empty for a run without latents.
 * @throws AppError INVALID_INPUT for another ontology's concept; UNAVAILABLE when the engine cannot be had.
 */
export async function searchLatents(
  work: EngineWork,
  run: Run,
  keyOrId: string,
  count: number,
): Promise<LatentMatch[]> {
  const { position: concept } = findConcept(await readConcepts(work.db, run), keyOrId, ['concept']);
  if (!hasLatents(run)) return [];
  return withDataset(work, run, (source) => work.engine.call('searchLatents', { ...source, concept, count }));
}

/** Groups keys by the run that they begin with; `answer` gets the rest of each key, and answers in order. */
async function byRun<T>(
  { db }: EngineWork,
  keys: readonly string[],
  answer: (run: Run, rows: string[][]) => Promise<readonly T[]>,
): Promise<T[]> {
  const rows = keys.map((key) => key.split('/'));
  const ids = [...new Set(rows.map(([runId]) => runId!))];
  const runs = await runsByIds(db, ids);
  const answers = new Map<string, T>();
  for (const [i, runId] of ids.entries()) {
    const run = runs[i];
    if (!run) throw notFound('Run', runId);
    if (!hasLatents(run)) throw invalidInput(['runId'], `run ${runId} has no latents to look at`);
    const own = keys.filter((key) => key.startsWith(`${runId}/`));
    const found = await answer(
      run,
      own.map((key) => key.split('/').slice(1)),
    );
    for (const [j, key] of own.entries()) answers.set(key, found[j]!);
  }
  return keys.map((key) => answers.get(key)!);
}

/** Asks without the dataset first: the engine most likely has its activations already. */
async function withDataset<T>(
  work: EngineWork,
  run: Run,
  ask: (source: LatentSource) => Promise<T | null>,
): Promise<T> {
  const source = { ...(await loadPair(work, run)), datasetId: run.datasetId };
  const answer = await ask({ ...source, dataset: null });
  return answer ?? (await ask({ ...source, dataset: await loadPrompts(work.db, run) }))!;
}

/** What of a dataset has activations; the rest need not travel. */
async function loadPrompts(db: Executor, run: Run): Promise<EngineDataset> {
  return { ...(await loadEngineDataset(db, run.datasetId)), facts: [], texts: [] };
}
