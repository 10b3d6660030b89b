/** The mutation that swaps a concept on one prompt. */
import { swapConcept, swapSettings } from '../services/conceptSwap.ts';
import type { Intervention } from '../services/intervention.ts';
import { builder } from './builder.ts';
import { conceptKeyOrId, idOf } from './ids.ts';
import { withoutNulls } from './input.ts';
import { addMutation } from './mutation.ts';
import { InterventionRef } from './refs.ts';
import { settingFields } from './settings.ts';

const SwapConceptInput = builder.inputType('SwapConceptInput', {
  description: 'What to swap on which prompt. Give either `exampleId` or `prompt`.',
  fields: (t) => ({
    runId: t.id({ required: true, description: 'Id of an alignment run that has succeeded.' }),
    exampleId: t.id({
      required: false,
      description: "An example of the run's dataset, whose prompt is asked.",
    }),
    prompt: t.string({ required: false, description: 'A prompt of your own.' }),
    entity: t.string({
      required: false,
      description:
        'Whom or what your prompt is about, as the dataset spells it, so that the answer can be judged; goes with `prompt`.',
    }),
    targetConcept: t.string({
      required: true,
      description: 'The concept to turn on: its key, such as `birth_city`, or its id.',
    }),
    sourceConcept: t.string({
      required: false,
      description:
        'The concept to turn off: its key or its id. Default: that of the strongest slot on the prompt.',
    }),
    ...settingFields(t, swapSettings),
    store: t.boolean({
      required: false,
      description:
        'False: nothing is kept, so that one may try as often as one likes; the `id` of what comes back names nothing then. Default: true.',
    }),
  }),
});

addMutation('swapConcept', {
  description:
    'Makes the model answer a prompt about one concept as if it were about another, by editing one slot, and stores what came of it.',
  scope: 'run',
  input: SwapConceptInput,
  success: builder.objectRef<{ intervention: Intervention }>('SwapConceptSuccess').implement({
    description: 'The swap was done, whether or not it changed the answer as hoped.',
    fields: (t) => ({
      intervention: t.field({
        type: InterventionRef,
        description: 'What was done and what came of it.',
        resolve: ({ intervention }) => intervention,
      }),
    }),
  }),
  errors: ['INVALID_INPUT', 'NOT_FOUND'],
  resolve: async (input, { db, store, engine }) => {
    const { runId, exampleId, sourceConcept, targetConcept, ...rest } = withoutNulls(input);
    const intervention = await swapConcept(
      { db, store, engine },
      {
        ...rest,
        runId: idOf(runId, ['AlignmentRun'], ['runId']),
        exampleId: exampleId == null ? undefined : idOf(exampleId, ['Example'], ['exampleId']),
        sourceConcept: sourceConcept == null ? undefined : conceptKeyOrId(sourceConcept),
        targetConcept: conceptKeyOrId(targetConcept),
      },
    );
    return { intervention };
  },
});
