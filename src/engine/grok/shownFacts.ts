/** Which facts training shows: what a swap leads to can be told only where the model may know it. */
import type { EngineDataset } from '../contract/dataset.ts';
import { indexValues } from './questions.ts';

/**
 * An entity's value for a relation; undefined where no TRAIN question follows the fact and no TRAIN text about the entity
 * names the value.
 */
export function indexShown({
  facts,
  prompts,
  texts,
}: Pick<EngineDataset, 'facts' | 'prompts' | 'texts'>): (
  entity: string,
  concept: number,
) => string | undefined {
  const lookUp = indexValues(facts);
  const followed = new Set<string>();
  for (const { split, entity, concepts } of prompts) {
    if (split !== 'TRAIN') continue;
    let at: string | undefined = entity;
    for (const concept of concepts) {
      followed.add(`${concept} ${at}`);
      at = at && lookUp(at, concept);
    }
  }
  const stated = new Map<string, string[]>();
  for (const { split, entity, text } of texts)
    if (split === 'TRAIN') stated.set(entity, [...(stated.get(entity) ?? []), text]);
  return (entity, concept) => {
    const value = lookUp(entity, concept);
    if (value === undefined || followed.has(`${concept} ${entity}`)) return value;
    return stated.get(entity)?.some((text) => text.includes(value)) ? value : undefined;
  };
}
