/** Which entities an SAE learns from, which choose alpha, and which it is judged by. */

import { createRandom } from '../../random.ts';
import type { SwapMeasure } from '../contract/alignment.ts';
import type { AlignmentSettings } from '../contract/alignmentSettings.ts';
import type { EngineDataset, Prompt } from '../contract/dataset.ts';

export type Population = SwapMeasure['population'];

/** A dataset's one-hop prompts, each with its entity's population. */
export interface Populations {
  prompts: readonly Prompt[];
  populationOf: (entity: string) => Population;
  entities: Record<Population, number>;
}

/** What decides which entity is in which population. */
export type PopulationSettings = Pick<AlignmentSettings, 'seed' | 'unseenShare' | 'validationShare'>;

/**
 * Draws the shares of entities by the seed alone: `UNSEEN` and `VALIDATION` entities are rounded down, the rest is
 * `SEEN`. Prompts of several hops are left out.
 */
export function splitPopulations(
  { prompts }: EngineDataset,
  { seed, unseenShare, validationShare }: PopulationSettings,
): Populations {
  const oneHop = prompts.filter(({ concepts }) => concepts.length === 1);
  const entities = [...new Set(oneHop.map(({ entity }) => entity))].sort();
  createRandom(seed, 'entities').shuffle(entities);
  const count = (share: number) => Math.floor(entities.length * share + 1e-9);
  const unseen = count(unseenShare);
  const validation = count(validationShare);
  const populations = new Map<string, Population>();
  entities.forEach((entity, i) => {
    populations.set(entity, i < unseen ? 'UNSEEN' : i < unseen + validation ? 'VALIDATION' : 'SEEN');
  });
  return {
    prompts: oneHop,
    populationOf: (entity) => populations.get(entity)!,
    entities: { UNSEEN: unseen, VALIDATION: validation, SEEN: entities.length - unseen - validation },
  };
}
