/** How the types that show runs of some kind resolve what they have in common. */
import { faithfulnessOfRuns } from '../runs/sae.ts';
import { modelsByIds } from '../services/model.ts';
import { type Run, runsByIds } from '../services/run.ts';
import { measuresOfRuns, type SplitMeasures } from '../services/slot.ts';
import type { Context } from './context.ts';

type OnSplit = { split: SplitMeasures['split'] };

/** Loads a run by its id; null for one of another kind. */
export function loadRunOf(kind: Run['kind']) {
  return async (id: string, { loaders }: Context): Promise<Run | null> => {
    const run = await loaders.load(runsByIds, id);
    return run?.kind === kind ? run : null;
  };
}

/** The model that a run studies. */
export async function studiedModel({ modelId }: Run, _args: unknown, { loaders }: Context) {
  return (await loaders.load(modelsByIds, modelId!))!;
}

/** Binding and reconstruction of a run's SAE on a split. */
export async function measuresOn({ id }: Run, { split }: OnSplit, { loaders }: Context) {
  return (await loaders.load(measuresOfRuns, id)).find((measures) => measures.split === split);
}

export async function faithfulnessOn({ id }: Run, { split }: OnSplit, { loaders }: Context) {
  return (await loaders.load(faithfulnessOfRuns, id)).filter((measure) => measure.split === split);
}
