/** What latents do on texts, and directions between concepts: asked of the engine while the caller waits. */
import { z } from 'zod';
import { loadEngineDataset } from '../db/queries/engineDataset.ts';
import type { ActiveToken, ConceptDifferenceCall } from '../engine/contract/latents.ts';
import { AppError, invalidInput, notFound, parseOrThrow } from '../errors.ts';
import { findConcept, readConcepts } from './alignment.ts';
import { datasetsByIds } from './dataset.ts';
import type { EngineWork } from './engine.ts';
import type { Concept } from './ontology.ts';
import { loadSaePair, readSae, type Sae } from './sae.ts';

export type { ActiveToken } from '../engine/contract/latents.ts';
export { TOP_LATENTS } from '../engine/contract/latents.ts';

/** A text that a model reads as it is: nothing of it is trimmed or normalised. */
export const wholeText = z.string().min(1).max(10_000);

/**
 * The strongest latents at each token of a text.
 * @throws AppError NOT_FOUND for the SAE; INVALID_INPUT at `text`; UNAVAILABLE when the engine cannot be had.
 */
export async function readActivations(
  work: EngineWork,
  request: { saeId: string; text: string; chat?: boolean | null },
): Promise<{ sae: Sae; tokens: ActiveToken[] }> {
  const text = parseOrThrow(wholeText, request.text, ['text']);
  const sae = await readSae(work.db, request.saeId);
  const call = { ...(await loadSaePair(work, sae)), text, chat: request.chat ?? false };
  return { sae, tokens: await work.engine.call('activations', call) };
}

/** A direction as callers name it. */
export interface Difference {
  /** Keys or ids of concepts. */
  of: string;
  from: string;
  /** The SAE's own if left out. */
  datasetId?: string | undefined;
}

/**
 * Mean activation of one concept's prompts less that of another's, `[dModel]`, with the ids of what it is of.
 * @throws AppError INVALID_INPUT below `path`; NOT_FOUND for the dataset.
 */
export async function readDifference(
  work: EngineWork,
  sae: Sae,
  given: Difference,
  path: readonly string[],
): Promise<{ vector: Float32Array; of: string; from: string; datasetId: string }> {
  const datasetId = given.datasetId ?? sae.datasetId;
  if (datasetId === null)
    throw invalidInput(
      [...path, 'datasetId'],
      'datasetId must be given, for the SAE has no dataset of its own',
    );
  const [dataset] = await datasetsByIds(work.db, [datasetId]);
  if (!dataset) throw notFound('Dataset', datasetId);
  const concepts = await readConcepts(work.db, { datasetId });
  const [of, from] = (['of', 'from'] as const).map((field) =>
    findConcept(concepts, given[field], [...path, field]),
  ) as [Concept, Concept];
  if (of.id === from.id) throw invalidInput([...path, 'from'], 'from must be another concept than of');
  const positions = { of: of.position, from: from.position };
  const call = {
    ...(await loadSaePair(work, sae, datasetId)),
    datasetId,
    ...positions,
    isOwn: datasetId === sae.datasetId,
  };
  const vector = await measureDifference(work, call).catch((error) => {
    if (!(error instanceof AppError) || error.code !== 'INVALID_INPUT') throw error;
    throw new AppError(error.code, error.message, { path: [...path, ...error.path], cause: error });
  });
  return { vector, datasetId, of: of.id, from: from.id };
}

/** Without the dataset first, as latents are asked for. */
async function measureDifference(
  { db, engine }: EngineWork,
  call: Omit<ConceptDifferenceCall, 'dataset'>,
): Promise<Float32Array> {
  const known = await engine.call('conceptDifference', { ...call, dataset: null });
  if (known) return known;
  const dataset = { ...(await loadEngineDataset(db, call.datasetId)), facts: [], texts: [] };
  return (await engine.call('conceptDifference', { ...call, dataset }))!;
}
