/** Runs of any kind: found, listed and cancelled. */
import {
  cancelRun,
  listRuns,
  type Run,
  type RunFilter,
  type RunPage,
  runsByIds,
} from '../../services/run.ts';
import { builder } from '../builder.ts';
import { idOf, RUN_TYPES } from '../ids.ts';
import { addMutation } from '../mutation.ts';
import { orderInput, orderOf } from '../order.ts';
import { RunConnection, RunRef } from '../refs.ts';
import { RunStatusRef } from '../run.ts';
import { encodePlace } from '../runChangeCursor.ts';
import { RunKindRef } from './index.ts';

export const RunFilterRef = builder.inputType('RunFilter', {
  description: 'Which runs to list; conditions left out do not restrict.',
  fields: (t) => ({
    status: t.field({ type: [RunStatusRef], required: false, description: 'Those in one of these states.' }),
    kind: t.field({ type: [RunKindRef], required: false, description: 'Those of one of these kinds.' }),
    datasetId: t.id({ required: false, description: 'Those that work on this dataset.' }),
    modelId: t.id({ required: false, description: 'Those that made or study this model.' }),
    isPart: t.boolean({
      required: false,
      description: 'True: those that are parts of a sweep or a grokking run; false: those that stand alone.',
    }),
    tag: t.string({ required: false, description: 'Those that have exactly this tag.' }),
    text: t.string({
      required: false,
      description:
        'Those with all these words, in capitals or not, in their name, their notes, their tags, or the names of their model and dataset.',
    }),
    since: t.field({ type: 'DateTime', required: false, description: 'Those started then or later.' }),
  }),
});

const RunOrderField = builder.enumType('RunOrderField', {
  description: 'What runs can be ordered by; of equals the one that was started first comes first.',
  values: {
    CREATED_AT: { description: 'When they were started.' },
    NAME: { description: 'Their names; those without one come before all others.' },
    KIND: { description: 'What they do.' },
    STATUS: { description: 'Where they are in their lives.' },
  } as const,
});

const RunOrder = orderInput('RunOrder', RunOrderField);

type GivenFilter = (typeof RunFilterRef)['$inferInput'];

/** The filter with uuids in the place of global ids. */
export function runFilterOf(filter: GivenFilter | null | undefined): RunFilter {
  return {
    ...filter,
    datasetId: filter?.datasetId && idOf(filter.datasetId, ['Dataset'], ['filter', 'datasetId']),
    modelId: filter?.modelId && idOf(filter.modelId, ['Model'], ['filter', 'modelId']),
  };
}

builder.queryFields((t) => ({
  run: t.field({
    type: RunRef,
    nullable: true,
    description: 'The run with this id; null when there is none.',
    args: { id: t.arg.id({ required: true, description: 'Id of a run of any kind.' }) },
    resolve: (_root, { id }, { loaders }) => loaders.load(runsByIds, idOf(id, RUN_TYPES, ['id'])),
  }),
  runs: t.connection(
    {
      type: RunRef,
      description: 'Runs, newest first unless another order is given.',
      args: {
        filter: t.arg({ type: RunFilterRef, required: false, description: 'Which runs.' }),
        orderBy: t.arg({ type: RunOrder, required: false, description: 'In which order.' }),
      },
      resolve: (_root, { filter, orderBy, ...args }, { db }) =>
        listRuns(db, runFilterOf(filter), args, orderOf(orderBy)),
    },
    RunConnection,
  ),
}));

builder.objectField(RunConnection, 'changesCursor', (t) =>
  t.string({
    description:
      'Where changes of runs stood before this page was read: pass it to `runsChanged(after)` to be told of every change since.',
    resolve: (page) => encodePlace((page as RunPage).changesFrom),
  }),
);

addMutation('cancelRun', {
  description: 'Ends a run that has not ended; its process is gone within a second. What it logged stays.',
  scope: 'run',
  input: builder.inputType('CancelRunInput', {
    description: 'The run to be cancelled.',
    fields: (t) => ({ id: t.id({ required: true, description: 'Id of the run.' }) }),
  }),
  success: builder.objectRef<{ run: Run }>('CancelRunSuccess').implement({
    description: 'The run was cancelled.',
    fields: (t) => ({
      run: t.field({ type: RunRef, description: 'The cancelled run.', resolve: ({ run }) => run }),
    }),
  }),
  errors: ['INVALID_INPUT', 'NOT_FOUND', 'CONFLICT'],
  resolve: async ({ id }, { db }) => ({ run: await cancelRun(db, idOf(id, RUN_TYPES, ['id'])) }),
});
