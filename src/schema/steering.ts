/** Steering a prompt by edits of anything: the query that stores nothing, the mutation that does, and what it stored. */
import { saesByIds } from '../services/sae.ts';
import {
  applyEdits,
  listSteerings,
  MAX_STEERED_TOKENS,
  type Steering,
  type SteeringResult,
  steeringsByIds,
  steerPrompt,
  steerSettings,
} from '../services/steering.ts';
import { builder } from './builder.ts';
import { EditRef } from './edit.ts';
import { EDITS_DESCRIPTION, EditInputRef, editsFrom } from './editInput.ts';
import { idOf } from './ids.ts';
import { Continuation } from './intervention.ts';
import { addMutation } from './mutation.ts';
import { SaeRef, SteeringConnection, SteeringRef } from './refs.ts';
import { settingArgs, settingFields } from './settings.ts';

/** In the terms of the complexity rule: what the engine does at least, and for each row. */
const COMPLEXITY = 100;
const ROW_COMPLEXITY = 20;

const WHAT_IT_DOES = `Continues a prompt as it is and, for each alpha, with all edits: one pass of the model for all of them, always taking the likeliest token. Alpha a multiplies the strength of every edit: a SET latent becomes a · strength, a SCALEd one is multiplied by a · strength, an ADDed target is added a · strength times, of an ABLATEd one the share a · strength is taken away, and a SWAP has the alpha a · strength; so at 0 an edit that adds or ablates does nothing. The rows of all alphas and the baseline together may have ${MAX_STEERED_TOKENS} tokens of prompt and answer, and large models make fewer.`;

const SteeredContinuation = builder
  .objectRef<SteeringResult['results'][number]>('SteeredContinuation')
  .implement({
    description: 'How the model goes on with the edits at one alpha.',
    fields: (t) => ({
      alpha: t.exposeFloat('alpha', { description: 'What multiplied the strength of every edit.' }),
      continuation: t.field({
        type: Continuation,
        description: 'How it goes on.',
        resolve: ({ continuation }) => continuation,
      }),
    }),
  });

const SteeringResultRef = builder.objectRef<SteeringResult>('SteeringResult').implement({
  description: 'How a model goes on without edits, and with them at several strengths.',
  fields: (t) => ({
    baseline: t.field({
      type: Continuation,
      description: 'How it goes on without the edits.',
      resolve: ({ baseline }) => baseline,
    }),
    results: t.field({
      type: [SteeredContinuation],
      description: 'How it goes on with them, an alpha each, in the order of the request.',
      resolve: ({ results }) => results,
    }),
  }),
});

builder.node(SteeringRef, {
  description:
    'A prompt that was continued without edits and with them at several strengths, as `applyEdits` kept it.',
  id: { resolve: ({ id }) => id },
  loadOne: (id, { loaders }) => loaders.load(steeringsByIds, id),
  fields: (t) => ({
    sae: t.field({
      type: SaeRef,
      description: 'The SAE whose layer was edited.',
      resolve: async ({ saeId }, _args, { loaders }) => (await loaders.load(saesByIds, saeId))!,
    }),
    prompt: t.exposeString('prompt', { description: 'What was continued.' }),
    chat: t.exposeBoolean('chat', {
      description: "Whether it was put as a user's message, by the model's chat template.",
    }),
    edits: t.field({
      type: [EditRef],
      description: 'The edits, each of which edited what the one before it made.',
      resolve: ({ edits, saeId }) => edits.map((edit) => ({ ...edit, saeId })),
    }),
    maxNewTokens: t.exposeInt('maxNewTokens', { description: 'Longest continuation in tokens.' }),
    baseline: t.field({
      type: Continuation,
      description: 'How the model goes on without the edits.',
      resolve: ({ baseline }) => baseline,
    }),
    results: t.field({
      type: [SteeredContinuation],
      description: 'How it goes on with them, an alpha each.',
      resolve: ({ results }) => results,
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was done.' }),
  }),
});

builder.queryField('steer', (t) =>
  t.field({
    type: SteeringResultRef,
    description: `${WHAT_IT_DOES} Stores nothing. Scope RUN.`,
    authScopes: { run: true },
    complexity: ({ alphas }) => ({ field: COMPLEXITY + ROW_COMPLEXITY * (alphas?.length ?? 1) }),
    args: {
      saeId: t.arg.id({ required: true, description: 'Id of the SAE whose layer is edited.' }),
      prompt: t.arg.string({ required: true, description: 'What to continue, as it is.' }),
      edits: t.arg({ type: [EditInputRef], required: true, description: `The edits. ${EDITS_DESCRIPTION}` }),
      ...settingArgs(t, steerSettings),
    },
    resolve: (_root, request, work) => steerPrompt(work, requestFrom(request)),
  }),
);

const ApplyEditsInput = builder.inputType('ApplyEditsInput', {
  description: 'What to continue, and the edits.',
  fields: (t) => ({
    saeId: t.id({ required: true, description: 'Id of the SAE whose layer is edited.' }),
    prompt: t.string({ required: true, description: 'What to continue, as it is.' }),
    edits: t.field({ type: [EditInputRef], required: true, description: `The edits. ${EDITS_DESCRIPTION}` }),
    ...settingFields(t, steerSettings),
  }),
});

addMutation('applyEdits', {
  description: `${WHAT_IT_DOES} Stores what came of it.`,
  scope: 'run',
  input: ApplyEditsInput,
  success: builder.objectRef<{ steering: Steering }>('ApplyEditsSuccess').implement({
    description: 'The prompt was continued, whether or not the edits changed anything.',
    fields: (t) => ({
      steering: t.field({
        type: SteeringRef,
        description: 'What was done and what came of it.',
        resolve: ({ steering }) => steering,
      }),
    }),
  }),
  errors: ['INVALID_INPUT', 'NOT_FOUND'],
  resolve: async (input, work) => ({ steering: await applyEdits(work, requestFrom(input)) }),
});

const SteeringFilter = builder.inputType('SteeringFilter', {
  description: 'Which steerings to list; conditions left out do not restrict.',
  fields: (t) => ({ saeId: t.id({ required: false, description: 'Those of this SAE.' }) }),
});

builder.queryField('steerings', (t) =>
  t.connection(
    {
      type: SteeringRef,
      description: 'What `applyEdits` kept, newest first.',
      args: { filter: t.arg({ type: SteeringFilter, required: false, description: 'Which.' }) },
      resolve: (_root, { filter, ...args }, { db }) => {
        const saeId = filter?.saeId && idOf(filter.saeId, ['Sae'], ['filter', 'saeId']);
        return listSteerings(db, { saeId }, args);
      },
    },
    SteeringConnection,
  ),
);

function requestFrom({
  saeId,
  prompt,
  edits,
  alphas,
  maxNewTokens,
  chat,
}: typeof ApplyEditsInput.$inferInput) {
  return {
    ...{ saeId: idOf(saeId, ['Sae'], ['saeId']), prompt, edits: editsFrom(edits) },
    ...{ alphas: alphas ?? undefined, maxNewTokens: maxNewTokens ?? undefined },
    ...{ chat: chat ?? undefined },
  };
}
