/** A two-hop dataset small enough for a test. */

import type { DatasetItem } from '../../src/data/items.ts';
import type { Db } from '../../src/db/client.ts';
import { storeDataset } from '../../src/services/datasetWriter.ts';
import { createOntology } from '../../src/services/ontology.ts';

const PEOPLE = ['ada', 'bo', 'cy', 'di', 'eve', 'fay', 'guy', 'hal'];
export const TWO_HOP_RELATIONS = ['boss', 'friend', 'tutor', 'heir'];
const related = (person: number, relation: number) => (person + 2 * relation + 1) % PEOPLE.length;

/** Every fact as a text, every composition as a question; each fourth composition is held out. */
export const TWO_HOP_ITEMS: readonly DatasetItem[] = PEOPLE.flatMap((entity, e1) =>
  TWO_HOP_RELATIONS.flatMap((concept, r1): DatasetItem[] => {
    const e2 = related(e1, r1);
    const value = PEOPLE[e2]!;
    return [
      { type: 'fact', entity, concept, value },
      { type: 'text', text: `the ${concept} of ${entity} is ${value}`, entity, split: 'TRAIN' },
      ...TWO_HOP_RELATIONS.map(
        (second, r2): DatasetItem => ({
          ...{ type: 'prompt', prompt: `who is the ${second} of the ${concept} of ${entity}`, entity },
          ...{ answer: `${value} ${PEOPLE[related(e2, r2)]}`, concepts: [concept, second], template: 'who' },
          split: (e1 + r1 + r2) % 4 === 0 ? 'VALIDATION' : 'TRAIN',
        }),
      ),
    ];
  }),
);

/** Stores it; its id. */
export async function storeTwoHops(db: Db): Promise<string> {
  const ontology = await createOntology(db, {
    slug: `two-hops-${crypto.randomUUID()}`,
    concepts: TWO_HOP_RELATIONS.map((key) => ({ key })),
  });
  const about = { name: 'Two hops', kind: 'TWO_HOP', settings: {} } as const;
  const dataset = await db.transaction((tx) => storeDataset(tx, ontology, about, TWO_HOP_ITEMS));
  return dataset.id;
}

/** A model that learns it in a second or two, and an analysis as fast. */
export const TINY_TWO_HOPS = {
  modelSettings: {
    ...{
      nLayers: 2,
      nHeads: 2,
      dModel: 16,
      nCtx: 16,
      steps: 120,
      batchSize: 32,
      warmupSteps: 10,
      logEvery: 20,
    },
    learningRate: 1e-2,
  },
  analysis: { layer: 0, nFree: 8, pretrainSteps: 10, posttrainSteps: 20 },
};
