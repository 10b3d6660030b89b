/** The prompt that asks of the same entity what a swap is to make a prompt ask. */
import type { Prompt } from '../contract/dataset.ts';

/** Null where the entity has no such prompt. */
export type TargetPromptOf<P> = (prompt: Pick<Prompt, 'id' | 'entity' | 'split'>, target: number) => P | null;

/**
 * Of the prompts in the same split, the one in the same place among those about the target as the prompt among those
 * about its own concept: the same phrasing, where phrasings come in the same order for all concepts.
 */
export function indexTargetPrompts<P extends Prompt>(prompts: readonly P[]): TargetPromptOf<P> {
  const groups = new Map<string, P[]>();
  const placeOf = new Map<string, number>();
  const keyOf = (entity: string, split: string, concept: number) => `${concept} ${split} ${entity}`;
  for (const prompt of prompts) {
    const key = keyOf(prompt.entity, prompt.split, prompt.concepts[0]!);
    const group = groups.get(key) ?? [];
    groups.set(key, group);
    placeOf.set(prompt.id, group.push(prompt) - 1);
  }
  return ({ id, entity, split }, target) => {
    const group = groups.get(keyOf(entity, split, target));
    return group ? group[(placeOf.get(id) ?? 0) % group.length]! : null;
  };
}
