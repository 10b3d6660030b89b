/** Concepts by their places in the ontology of a run. */
import { conceptsOfRuns } from '../services/slot.ts';
import type { Context } from './context.ts';
import { ConceptRef } from './refs.ts';

interface Place {
  runId: string;
  concept: number;
}

/** Options of a field with the concept at the place that `of` gives. */
export function conceptOfRun<Shape>(description: string, of: (shape: Shape) => Place) {
  return {
    type: ConceptRef,
    description,
    resolve: async (shape: Shape, _args: object, { loaders }: Context) => {
      const { runId, concept } = of(shape);
      return (await loaders.load(conceptsOfRuns, runId))[concept]!;
    },
  };
}

interface Swap {
  runId: string;
  source: number;
  target: number;
}

export const SOURCE = conceptOfRun('The concept turned off.', ({ runId, source }: Swap) => ({
  runId,
  concept: source,
}));

export const TARGET = conceptOfRun('The concept turned on.', ({ runId, target }: Swap) => ({
  runId,
  concept: target,
}));
