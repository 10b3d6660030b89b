/** The subscription that watches a model speak, and steers it. */
import {
  chatSettings,
  editSettings,
  type GeneratedToken,
  type GenerationEvent,
  MAX_INTERVENTIONS,
  samplingSettings,
  startGeneration,
} from '../services/generation.ts';
import { builder } from './builder.ts';
import { EDITS_DESCRIPTION, EditInputRef, editsFrom } from './editInput.ts';
import { conceptKeyOrId, idOf } from './ids.ts';
import { withoutNulls } from './input.ts';
import { ConceptRef } from './refs.ts';
import { settingFields } from './settings.ts';

const GenerationIntervention = builder.inputType('GenerationIntervention', {
  description:
    'A concept swap that is made at every position from one step on. Step 0 is the last prompt token, from which the first new token is predicted; step n is the n-th new token.',
  fields: (t) => ({
    targetConcept: t.string({
      required: true,
      description: 'The concept to turn on: its key, such as `birth_city`, or its id.',
    }),
    sourceConcept: t.string({
      required: false,
      description:
        'The concept to turn off: its key or its id. Default: that of the strongest slot at the last prompt token.',
    }),
    ...settingFields(t, editSettings),
  }),
});

const GenerationInput = builder.inputType('GenerationInput', {
  description:
    'What to continue and how. Give either `runId` or `saeId`, and either `exampleId` or `prompt`.',
  fields: (t) => ({
    runId: t.id({
      required: false,
      description:
        'Id of an alignment run that has succeeded, whose SAE is read and edited. Or give `saeId`.',
    }),
    saeId: t.id({ required: false, description: 'Id of any SAE. Or give `runId`.' }),
    exampleId: t.id({
      required: false,
      description: "An example of the SAE's dataset, whose prompt is continued.",
    }),
    prompt: t.string({ required: false, description: 'A prompt of your own.' }),
    ...settingFields(t, chatSettings),
    ...settingFields(t, samplingSettings),
    interventions: t.field({
      type: [GenerationIntervention],
      required: false,
      description: `Swaps of slots to make on the way, at most ${MAX_INTERVENTIONS}; where several apply at one step, each edits what the one before it made.`,
    }),
    edits: t.field({
      type: [EditInputRef],
      required: false,
      description: `Edits of any latents and directions, after those. ${EDITS_DESCRIPTION}`,
    }),
  }),
});

const SlotActivation = builder.objectRef<GeneratedToken['slots'][number]>('SlotActivation').implement({
  description: 'How strongly a slot fires at one position.',
  fields: (t) => ({
    concept: t.field({
      type: ConceptRef,
      description: 'The concept that the slot is dedicated to.',
      resolve: (slot) => slot.concept,
    }),
    activation: t.exposeFloat('activation', {
      description: 'Its activation as the model computed it, before any edit; around 1 where it is bound.',
    }),
  }),
});

const TokenGenerated = builder.objectRef<GeneratedToken>('TokenGenerated').implement({
  description: 'The model generated a token.',
  fields: (t) => ({
    index: t.exposeInt('index', { description: 'Number of the token, from 0.' }),
    text: t.exposeString('text', {
      description:
        'What it adds to the text: all of them joined are the text that `GenerationFinished` tells. Empty where only the next token completes a character.',
    }),
    probability: t.exposeFloat('probability', {
      description: 'Probability that the model gave it, 0–1; after the edits, and at temperature 1.',
    }),
    slots: t.field({
      type: [SlotActivation],
      description:
        'The slots at the position that predicted it (the token before it), as the model computed them, before any edit; in the order of the ontology; none of an SAE without slots.',
      resolve: (token) => token.slots,
    }),
  }),
});

const GenerationEnd = builder.enumType('GenerationEnd', {
  description: 'Why generation ended.',
  values: {
    EOS: { description: 'The model ended its text.' },
    LENGTH: { description: '`maxNewTokens`, or the longest text that the model can read, was reached.' },
  },
});

type Finished = Extract<GenerationEvent, { type: 'FINISHED' }>;

const GenerationFinished = builder.objectRef<Finished>('GenerationFinished').implement({
  description: 'The model is through; nothing comes after this.',
  fields: (t) => ({
    text: t.exposeString('text', { description: 'All that was generated, without prompt and end mark.' }),
    reason: t.field({ type: GenerationEnd, description: 'Why it ended.', resolve: (end) => end.reason }),
  }),
});

const TYPENAMES = { TOKEN: 'TokenGenerated', FINISHED: 'GenerationFinished' } as const;

const GenerationEventRef = builder.unionType('GenerationEvent', {
  description: 'What can happen while a model generates.',
  types: [TokenGenerated, GenerationFinished],
  resolveType: (event) => TYPENAMES[event.type],
});

builder.subscriptionField('generation', (t) =>
  t.field({
    type: GenerationEventRef,
    description:
      'Continues a prompt with the model of an SAE: every token as it is made, with the slots it was predicted from, and edits on the way. Ends the work when the subscriber leaves; stores nothing. Scope RUN.',
    authScopes: { run: true },
    args: {
      input: t.arg({ type: GenerationInput, required: true, description: 'What to continue and how.' }),
    },
    subscribe: async (_root, { input }, { db, store, engine }) => {
      const { runId, saeId, exampleId, interventions, edits: _, ...rest } = withoutNulls(input);
      const events = await startGeneration(
        { db, store, engine },
        {
          ...rest,
          runId: runId && idOf(runId, ['AlignmentRun'], ['runId']),
          saeId: saeId && idOf(saeId, ['Sae'], ['saeId']),
          edits: editsFrom(input.edits ?? []),
          exampleId: exampleId == null ? undefined : idOf(exampleId, ['Example'], ['exampleId']),
          interventions: interventions?.map(({ targetConcept, sourceConcept, ...given }) => ({
            ...given,
            targetConcept: conceptKeyOrId(targetConcept),
            sourceConcept: sourceConcept == null ? undefined : conceptKeyOrId(sourceConcept),
          })),
        },
      );
      return tellingErrors(events);
    },
    resolve: (event) => {
      if ('error' in event) throw event.error;
      return event;
    },
  }),
);

type Told<T> = T | { error: unknown };

/**
 * A failure on the way as one last event, whose resolver throws it: clients then get an error with its code, where a
 * failing iterator would cost them their whole connection.
 */
function tellingErrors<T>(events: AsyncIterableIterator<T>): AsyncIterableIterator<Told<T>> {
  return {
    [Symbol.asyncIterator]() {
      return this;
    },
    next: () => events.next().catch((error: unknown) => ({ done: false, value: { error } })),
    async return() {
      await events.return?.();
      return { done: true, value: undefined };
    },
  };
}
