/** The SAEs of two-hop runs. */
import { type HopSae, hopSaesOfRuns } from '../runs/checkpointAnalysis.ts';
import type { Run } from '../services/run.ts';
import { saesOfRuns } from '../services/sae.ts';
import { builder } from './builder.ts';
import type { Context } from './context.ts';
import { SaeRef } from './refs.ts';
import { SaeLensRef, saeLensFilesOf } from './saeLens.ts';

export const HopSaeRef = builder.objectRef<HopSae & { run: Run }>('HopSae').implement({
  description: 'The SAE that reads one hop; where hops share one, it is there twice.',
  fields: (t) => ({
    hop: t.exposeInt('hop', { description: '1 or 2.' }),
    artifactHash: t.exposeString('artifactHash', { description: 'SHA-256 of its weights.' }),
    sae: t.field({
      type: SaeRef,
      nullable: true,
      description: 'The SAE by itself.',
      resolve: async ({ run, artifactHash }, _args, { loaders }) =>
        (await loaders.load(saesOfRuns, run.id)).find((sae) => sae.artifactHash === artifactHash),
    }),
    saeLens: t.field({
      type: SaeLensRef,
      description: 'The SAE as files for SAELens.',
      resolve: ({ run, hop }) => saeLensFilesOf(run, hop),
    }),
  }),
});

/** Hop 1, then hop 2, of a run that trained them. */
export async function hopSaesOf(run: Run, _args: unknown, { loaders }: Context) {
  return (await loaders.load(hopSaesOfRuns, run.id)).map((sae) => ({ ...sae, run }));
}
