/** Swaps of a sweep one by one. */
import { SWEEP_EDITS } from '../engine/contract/swapSweep.ts';
import { swapOutcome } from '../engine/contract/sweepTrials.ts';
import { pageTrials, type SweepTrial } from '../runs/sweepTrials.ts';
import { examplesByIds } from '../services/dataset.ts';
import { builder } from './builder.ts';
import { SOURCE, TARGET } from './conceptOfRun.ts';
import { conceptKeyOrId } from './ids.ts';
import { CellMethod } from './intervention.ts';
import { ExampleRef, RUN_REFS } from './refs.ts';
import { enumFrom } from './settings.ts';

const SwapOutcomeRef = enumFrom(swapOutcome);

const SweepEditRef = builder.enumType('SweepEdit', {
  description: 'What a swap of a sweep edits.',
  values: Object.fromEntries(
    SWEEP_EDITS.map((edited) => [
      edited,
      { description: edited === 'CONCEPT' ? 'The slots.' : 'The control of this name; see `SweepControl`.' },
    ]),
  ) as Record<(typeof SWEEP_EDITS)[number], { description: string }>,
});

const SweepTrialRef = builder.objectRef<SweepTrial>('SweepTrial').implement({
  description: 'One swap of a sweep by one method at one alpha.',
  fields: (t) => ({
    edited: t.field({
      type: SweepEditRef,
      description: 'What is edited.',
      resolve: ({ cell }) => cell.edited,
    }),
    method: t.field({ type: CellMethod, description: 'How.', resolve: ({ cell }) => cell.method }),
    alpha: t.float({ description: 'How strongly.', resolve: ({ cell }) => cell.alpha }),
    prompt: t.string({
      description: 'The prompt that is asked.',
      resolve: async ({ exampleId }, _args, { loaders }) =>
        (await loaders.load(examplesByIds, exampleId))?.prompt ?? '',
    }),
    example: t.field({
      type: ExampleRef,
      nullable: true,
      description: 'The example of the dataset that the prompt is.',
      resolve: ({ exampleId }, _args, { loaders }) => loaders.load(examplesByIds, exampleId),
    }),
    source: t.field(SOURCE),
    target: t.field(TARGET),
    expected: t.stringList({
      description: 'The entity’s values for the target; any of them is right.',
      resolve: ({ expected }) => [...expected],
    }),
    before: t.exposeString('before', { description: 'What the model answers unedited.' }),
    after: t.exposeString('after', { description: 'What it answers under the edit.' }),
    outcome: t.field({
      type: SwapOutcomeRef,
      description: 'How that is judged.',
      resolve: ({ outcome }) => outcome,
    }),
    known: t.exposeBoolean('known', {
      description: 'Whether the model answers this prompt and that of the target right unedited.',
    }),
  }),
});

const SweepTrialConnection = builder.connectionObject(
  { type: SweepTrialRef, name: 'SweepTrialConnection', description: 'One page of swaps.' },
  { name: 'SweepTrialEdge', description: 'A swap with its place in the list.' },
);

const TrialFilter = builder.inputType('SweepTrialFilter', {
  description: 'Which swaps to list; conditions left out do not restrict.',
  fields: (t) => ({
    outcomes: t.field({
      type: [SwapOutcomeRef],
      required: false,
      description: 'Those that came to one of these.',
    }),
    edited: t.field({
      type: SweepEditRef,
      required: false,
      description: 'Those of the slots, or of this control.',
    }),
    method: t.field({ type: CellMethod, required: false, description: 'Those by this method.' }),
    alpha: t.float({ required: false, description: 'Those at this alpha.' }),
    source: t.string({
      required: false,
      description: 'Those that turn this concept off: its key or its id.',
    }),
    target: t.string({ required: false, description: 'Those that turn this concept on: its key or its id.' }),
  }),
});

builder.objectField(RUN_REFS.SWAP_SWEEP, 'trials', (t) =>
  t.connection(
    {
      type: SweepTrialRef,
      description:
        'Its swaps one by one, cell by cell in the order of work, where `settings.keepTrials` keeps them; empty otherwise. Those that a control could not try are left out. `exports` has them as `trials`.',
      args: { filter: t.arg({ type: TrialFilter, required: false, description: 'Which swaps.' }) },
      resolve: (run, { filter, ...args }, { db }) => {
        const { source, target, ...rest } = filter ?? {};
        const concepts = {
          source: source == null ? null : conceptKeyOrId(source),
          target: target == null ? null : conceptKeyOrId(target),
        };
        return pageTrials(db, run, { ...rest, ...concepts }, args);
      },
    },
    SweepTrialConnection,
  ),
);
