/** The measurement of what a model knows of a dataset: its settings, what it takes and what it returns. */
import type { z } from 'zod';
import type { EngineDataset, Split } from './dataset.ts';
import { namedObject, whole } from './describe.ts';
import type { ModelRef } from './model.ts';
import { seed } from './seed.ts';

export const knowledgeSettings = namedObject('KnowledgeSettings', 'Which of a dataset’s prompts are asked.', {
  seed: seed.describe('Seeds the draw of prompts.').default(0),
  promptsPerConcept: whole(1, 100_000)
    .describe('Prompts asked about each concept in each split, as far as there are any.')
    .default(100),
});
export type KnowledgeSettings = z.output<typeof knowledgeSettings>;
export type KnowledgeSettingsInput = z.input<typeof knowledgeSettings>;

export interface KnowledgeJob {
  kind: 'KNOWLEDGE';
  settings: KnowledgeSettings;
  model: ModelRef;
  dataset: EngineDataset;
}

/** Prompts about a concept in a split. */
export interface ConceptKnowledge {
  /** Concept by index. */
  concept: number;
  split: Split;
  asked: number;
  /** Those whose whole greedy answer is one that counts. */
  right: number;
}

export interface KnowledgeResult {
  kind: 'KNOWLEDGE';
  /** Concept by concept, in the order of splits; where nothing is asked there is nothing. */
  known: ConceptKnowledge[];
}
