/** Runs once more, as they were or changed, and which of those that wait come first. */
import { type Changes, startClone } from '../../runs/clone.ts';
import { copyEndedRun } from '../../runs/copy.ts';
import { MAX_PRIORITY, placeOrder, setRunPriority } from '../../services/order.ts';
import { getRun, type Run, runsByIds } from '../../services/run.ts';
import { AlignmentSettingsTypes } from '../alignmentSettings.ts';
import { AnalysisSettingsTypes } from '../analysisSettings.ts';
import { BaselineSettingsTypes } from '../baselineSettings.ts';
import { builder } from '../builder.ts';
import { HopSwapSettingsTypes } from '../hopSwapSettings.ts';
import { idOf, RUN_TYPES } from '../ids.ts';
import { withoutNulls } from '../input.ts';
import { KnowledgeSettingsTypes } from '../knowledgeSettings.ts';
import { namedInput } from '../labels.ts';
import { ModelSettingsTypes } from '../modelSettings.ts';
import { addMutation } from '../mutation.ts';
import { RunRef } from '../refs.ts';
import { SweepSettingsTypes } from '../swapSweepSettings.ts';
import { clientOf, PRIORITY, priorityInput, StartRunSuccess } from './node.ts';

builder.interfaceFields(RunRef, (t) => ({
  priority: t.exposeInt('priority', {
    description: `Of runs that wait, those with the highest are taken up first, and of equals the one that came first; ${-MAX_PRIORITY} to ${MAX_PRIORITY}. Parts have that of their whole.`,
  }),
  copyOf: t.field({
    type: RunRef,
    nullable: true,
    description: 'The run that `retryRun` or `cloneRun` made it of; null where there is none any more.',
    resolve: ({ copyOfId }, _args, { loaders }) => loaders.loadMaybe(runsByIds, copyOfId),
  }),
}));

addMutation('retryRun', {
  description:
    'Queues a run that has FAILED or was CANCELLED once more, as a new run with the very settings, seed, model and data, under its name, tags and notes; a sweep with all its parts, also those that had succeeded. A part by itself becomes a run that stands alone.',
  scope: 'run',
  input: builder.inputType('RetryRunInput', {
    description: 'The run to be tried again.',
    fields: (t) => ({
      id: t.id({ required: true, description: 'Id of the run.' }),
      priority: t.int({ required: false, description: `${PRIORITY} Default: that of the run.` }),
    }),
  }),
  success: StartRunSuccess,
  errors: ['INVALID_INPUT', 'NOT_FOUND', 'CONFLICT'],
  resolve: async ({ id: globalId, priority }, context) => {
    const id = idOf(globalId, RUN_TYPES, ['id']);
    const before = await getRun(context.db, id);
    const run = await placeOrder(
      context.db,
      clientOf(context),
      { ...labelsOf(before), priority: priority ?? before.priority, copyOfId: id },
      (tx) => copyEndedRun(tx, id),
    );
    return { run };
  },
});

addMutation('cloneRun', {
  description:
    'Queues a run like another, whatever has become of that, with the settings given here in the place of its own; all other settings, the seed, the model and the data are its own, and all are checked as at any start. Settings go with kinds: any but those that fit the run are refused.',
  scope: 'run',
  input: builder.inputType('CloneRunInput', {
    description: 'The run to be done again, and what is to be other.',
    fields: (t) => ({
      ...namedInput(t),
      ...priorityInput(t),
      id: t.id({ required: true, description: 'Id of the run.' }),
      model: t.field({
        type: ModelSettingsTypes.input,
        required: false,
        description: 'Of a model run, or of the training in a grokking run.',
      }),
      alignment: t.field({
        type: AlignmentSettingsTypes.input,
        required: false,
        description: 'Of an alignment or a sweep of alignments; `preset` must be left out.',
      }),
      baseline: t.field({
        type: BaselineSettingsTypes.input,
        required: false,
        description: 'Of a baseline.',
      }),
      swapSweep: t.field({
        type: SweepSettingsTypes.input,
        required: false,
        description: 'Of a swap sweep.',
      }),
      hopSwap: t.field({
        type: HopSwapSettingsTypes.input,
        required: false,
        description: 'Of two-hop swaps.',
      }),
      analysis: t.field({
        type: AnalysisSettingsTypes.input,
        required: false,
        description: 'Of a grokking run, or of two-hop swaps that train SAEs of their own.',
      }),
      knowledge: t.field({
        type: KnowledgeSettingsTypes.input,
        required: false,
        description: 'Of a measurement of what a model knows.',
      }),
    }),
  }),
  success: StartRunSuccess,
  errors: ['INVALID_INPUT', 'NOT_FOUND'],
  resolve: async (input, context) => {
    const { id: globalId, name, tags, notes, priority, ...changes } = withoutNulls(input);
    const id = idOf(globalId, RUN_TYPES, ['id']);
    const before = await getRun(context.db, id);
    const run = await placeOrder(
      context.db,
      clientOf(context),
      {
        ...labelsOf(before),
        ...given({ name, tags, notes }),
        priority: priority ?? before.priority,
        copyOfId: id,
      },
      (tx) => startClone(tx, id, changes as Changes),
    );
    return { run };
  },
});

addMutation('setRunPriority', {
  description:
    'Changes how urgent a run that has not ended is, with its parts. What is being worked on goes on: nothing makes way for it.',
  scope: 'run',
  input: builder.inputType('SetRunPriorityInput', {
    description: 'The run, and how urgent it is from now on.',
    fields: (t) => ({
      id: t.id({ required: true, description: 'Id of the run.' }),
      priority: t.int({ required: true, description: PRIORITY }),
    }),
  }),
  success: builder.objectRef<{ run: Run }>('SetRunPrioritySuccess').implement({
    description: 'It has its new place in the queue.',
    fields: (t) => ({
      run: t.field({ type: RunRef, description: 'The run as it is now.', resolve: ({ run }) => run }),
    }),
  }),
  errors: ['INVALID_INPUT', 'NOT_FOUND', 'CONFLICT'],
  resolve: async ({ id, priority }, { db }) => ({
    run: await setRunPriority(db, idOf(id, RUN_TYPES, ['id']), priority),
  }),
});

function labelsOf({ name, tags, notes }: Run) {
  return { name, tags, notes };
}

/** Without what was left out. */
function given<T extends object>(values: T): Partial<T> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Partial<T>;
}
