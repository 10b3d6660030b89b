/** The binding matrix of an alignment along its training, also while it runs. */
import { type BindingLook, lookStepsOfRuns, matrixOf, readLook } from '../services/bindingLooks.ts';
import { conceptsOfRuns } from '../services/slot.ts';
import { builder } from './builder.ts';
import { RateRef } from './rate.ts';
import { AlignmentRunRef, ConceptRef } from './refs.ts';

const sum = (counts: readonly number[]) => counts.reduce((total, count) => total + count, 0);

const BindingLookRef = builder.objectRef<BindingLook>('BindingLook').implement({
  description:
    'How the slots bind at a step of training, on the validation prompts by which the best weights are chosen: fewer than `binding` is measured on, of entities that are not reported.',
  fields: (t) => ({
    step: t.exposeInt('step', { description: 'Training step, counted over both stages.' }),
    at: t.expose('at', { type: 'DateTime', description: 'When it was measured.' }),
    rate: t.field({
      type: RateRef,
      description: "Share of prompts whose strongest slot is their concept's.",
      resolve: (look) => ({
        trials: sum(look.counts),
        successes: sum(matrixOf(look).map((row, concept) => row[concept]!)),
      }),
    }),
    concepts: t.field({
      type: [ConceptRef],
      description: 'The concepts in the order of the rows, and of their slots in the columns, of `matrix`.',
      resolve: (look, _args, { loaders }) => loaders.load(conceptsOfRuns, look.runId),
    }),
    matrix: t.field({
      type: t.listRef(t.listRef('Float')),
      description:
        'Binding matrix, `[concept][slot]`: share of the prompts about the concept whose strongest slot is that slot, 0–1; a row of 0 where none is about it.',
      complexity: { field: 1, multiplier: 1 },
      resolve: (look) =>
        matrixOf(look).map((row) => row.map((count) => (count === 0 ? 0 : count / sum(row)))),
    }),
  }),
});

builder.objectFields(AlignmentRunRef, (t) => ({
  bindingSteps: t.intList({
    description:
      'The training steps at which the slots were looked at so far, in order; as many as `settings.validateEvery` says, in the second stage. Empty of runs older than this.',
    complexity: { field: 1, multiplier: 1 },
    resolve: (run, _args, { loaders }) => loaders.load(lookStepsOfRuns, run.id),
  }),
  bindingLook: t.field({
    type: BindingLookRef,
    nullable: true,
    description:
      'The slots at the newest look, or at the newest one at `step` or before it; also while the run works, where `validation/binding` among the metrics says that there is a new one. Null before the first.',
    args: { step: t.arg.int({ required: false, description: 'Training step. Default: the newest.' }) },
    resolve: (run, { step }, { db }) => readLook(db, run.id, step ?? null),
  }),
}));
