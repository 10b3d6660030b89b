/** Activations as a sum of what their entity and what their concept adds, by least squares. */
import type { CapturedPopulations, CapturedPrompt } from '../align/captured.ts';

/** Least squares of groups that are not alike in size are found by turns; they settle in a few dozen. */
const MAX_TURNS = 500;
const SETTLED = 1e-7;

export interface Sums {
  /** What stands for an activation of the entity asked about the concept, `[dModel]`; null for an entity without prompts. */
  sum(entity: string, concept: number): Float32Array | null;
  /** What the concept adds, `[dModel]`, up to what all share. */
  effect(concept: number): Float32Array;
}

/** Sum and number of a group's activations. */
interface Group {
  sum: Float64Array;
  count: number;
}

/**
 * Effects of concepts are fitted on `learned` prompts, together with those of their entities; then the effect of each
 * entity of `known` prompts is the mean of what its own leave over.
 */
export function fitSums(
  learned: readonly CapturedPrompt[],
  known: readonly CapturedPrompt[],
  nConcepts: number,
): Sums {
  const effects = fitEffects(groupPrompts(learned), nConcepts, learned[0]!.h.length);
  const own = groupPrompts(known);
  return {
    sum(entity, concept) {
      const groups = own.get(entity);
      if (!groups) return null;
      const rest = leftOver(groups, effects);
      return Float32Array.from(rest, (value, j) => value + effects[concept]![j]!);
    },
    effect: (concept) => Float32Array.from(effects[concept]!),
  };
}

/** The same of a dataset: fitted on the TRAIN prompts that an SAE learns from, with entities known by their TRAIN prompts. */
export function sumsOf({ SEEN, VALIDATION, UNSEEN }: CapturedPopulations, nConcepts: number): Sums {
  const train = (prompts: readonly CapturedPrompt[]) => prompts.filter(({ split }) => split === 'TRAIN');
  return fitSums(train(SEEN), train([...SEEN, ...VALIDATION, ...UNSEEN]), nConcepts);
}

function groupPrompts(prompts: readonly CapturedPrompt[]): Map<string, Map<number, Group>> {
  const entities = new Map<string, Map<number, Group>>();
  for (const { entity, concepts, h } of prompts) {
    const groups = entities.get(entity) ?? new Map<number, Group>();
    entities.set(entity, groups);
    const group = groups.get(concepts[0]!) ?? { sum: new Float64Array(h.length), count: 0 };
    groups.set(concepts[0]!, group);
    group.count++;
    for (let j = 0; j < h.length; j++) group.sum[j]! += h[j]!;
  }
  return entities;
}

/** Mean of an entity's activations less the effects of their concepts. */
function leftOver(groups: ReadonlyMap<number, Group>, effects: readonly Float64Array[]): Float64Array {
  const rest = new Float64Array(effects[0]!.length);
  let total = 0;
  for (const { count } of groups.values()) total += count;
  for (const [concept, { sum, count }] of groups)
    for (let j = 0; j < rest.length; j++) rest[j]! += (sum[j]! - count * effects[concept]![j]!) / total;
  return rest;
}

/** By turns: entities for what concepts leave over, concepts for what entities leave over. */
function fitEffects(
  entities: ReadonlyMap<string, ReadonlyMap<number, Group>>,
  nConcepts: number,
  width: number,
): Float64Array[] {
  let effects = Array.from({ length: nConcepts }, () => new Float64Array(width));
  for (let turn = 0; turn < MAX_TURNS; turn++) {
    const next = Array.from({ length: nConcepts }, () => new Float64Array(width));
    const counts = new Float64Array(nConcepts);
    for (const groups of entities.values()) {
      const rest = leftOver(groups, effects);
      for (const [concept, { sum, count }] of groups) {
        counts[concept]! += count;
        for (let j = 0; j < width; j++) next[concept]![j]! += sum[j]! - count * rest[j]!;
      }
    }
    next.forEach((effect, concept) => {
      for (let j = 0; j < width; j++) effect[j]! /= Math.max(1, counts[concept]!);
    });
    const moved = distance(next, effects);
    effects = next;
    if (moved <= SETTLED * distance(next, null)) break;
  }
  return effects;
}

/** Root of the summed squared differences; of the effects themselves where there is nothing else. */
function distance(effects: readonly Float64Array[], others: readonly Float64Array[] | null): number {
  let squares = 0;
  effects.forEach((effect, concept) => {
    for (let j = 0; j < effect.length; j++)
      squares += (effect[j]! - (others ? others[concept]![j]! : 0)) ** 2;
  });
  return Math.sqrt(squares);
}
