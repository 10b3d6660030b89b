/** What post-training's counterfactuals never lead to, so that swaps there show what was not taught. */

import { createRandom } from '../../random.ts';
import type { AlignmentSettings } from '../contract/alignmentSettings.ts';
import type { EngineDataset } from '../contract/dataset.ts';

/** Tells whether swaps of this entity to this concept were withheld; drawn by the alignment's seed alone. */
export function createWithheld(
  { concepts }: Pick<EngineDataset, 'concepts'>,
  { seed, withheldPairShare, withheldTargets }: AlignmentSettings,
): (entity: string, concept: number) => boolean {
  return (entity, concept) => {
    const { key } = concepts[concept]!;
    if (withheldTargets.includes(key)) return true;
    return withheldPairShare > 0 && createRandom(seed, 'withheld', entity, key).next() < withheldPairShare;
  };
}

/** The same for rows, by entity and concept: 1 where no counterfactual may lead to the row. */
export function withheldRows(
  dataset: Pick<EngineDataset, 'concepts'>,
  settings: AlignmentSettings,
  entities: readonly string[],
  concepts: Int32Array,
): Uint8Array {
  const isWithheld = createWithheld(dataset, settings);
  return Uint8Array.from(entities, (entity, i) => Number(isWithheld(entity, concepts[i]!)));
}
