/** The phases of a run with their bounds in steps and in time. */
import { PHASES, type Phase } from '../engine/contract/phases.ts';
import { phaseChangesOfRuns, phasesOf, type RunPhase } from '../services/phases.ts';
import { builder } from './builder.ts';
import { RunRef } from './refs.ts';

export const PhaseRef = builder.enumType('RunPhaseName', {
  description: 'A part of the work of a run.',
  values: Object.fromEntries(
    Object.entries(PHASES).map(([name, description]) => [name, { description }]),
  ) as Record<Phase, { description: string }>,
});

const RunPhaseRef = builder.objectRef<RunPhase>('RunPhase').implement({
  description: 'A phase of a run, which it came through, is in, or will come to.',
  fields: (t) => ({
    name: t.field({ type: PhaseRef, description: 'Which one.', resolve: ({ name }) => name }),
    fromStep: t.exposeInt('fromStep', {
      nullable: true,
      description: 'The first training step that belongs to it; null where nothing is trained step by step.',
    }),
    toStep: t.exposeInt('toStep', {
      nullable: true,
      description: 'The last one, by the settings; a run that ends early does not come to it.',
    }),
    startedAt: t.expose('startedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When the run first came to it; null while that is to come.',
    }),
    finishedAt: t.expose('finishedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When the run last left it, or ended in it; null while it is in it, and before.',
    }),
  }),
});

builder.interfaceField(RunRef, 'phases', (t) =>
  t.field({
    type: [RunPhaseRef],
    description:
      'The parts of its work in order, those to come among them. Waiting is none; a run that goes on from a checkpoint may come to one twice.',
    complexity: { field: 5, multiplier: 5 },
    resolve: async (run, _args, { loaders }) => phasesOf(run, await loaders.load(phaseChangesOfRuns, run.id)),
  }),
);
