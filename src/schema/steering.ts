/** The query that steers a prompt and stores nothing. */
import { MAX_STEERED_TOKENS, type Steering, steerPrompt, steerSettings } from '../services/steering.ts';
import { builder } from './builder.ts';
import { EDITS_DESCRIPTION, EditInputRef, editsFrom } from './editInput.ts';
import { idOf } from './ids.ts';
import { Continuation } from './intervention.ts';
import { settingArgs } from './settings.ts';

/** In the terms of the complexity rule: what the engine does at least, and for each row. */
const COMPLEXITY = 100;
const ROW_COMPLEXITY = 20;

const SteeredContinuation = builder.objectRef<Steering['results'][number]>('SteeredContinuation').implement({
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

const SteeringRef = builder.objectRef<Steering>('Steering').implement({
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

builder.queryField('steer', (t) =>
  t.field({
    type: SteeringRef,
    description: `Continues a prompt as it is and, for each alpha, with all edits: one pass of the model for all of them, always taking the likeliest token. Alpha a multiplies the strength of every edit: a SET latent becomes a · strength, a SCALEd one is multiplied by a · strength, an ADDed target is added a · strength times, of an ABLATEd one the share a · strength is taken away, and a SWAP has the alpha a · strength; so at 0 an edit that adds or ablates does nothing. The rows of all alphas and the baseline together may have ${MAX_STEERED_TOKENS} tokens of prompt and answer. Stores nothing. Scope RUN.`,
    authScopes: { run: true },
    complexity: ({ alphas }) => ({ field: COMPLEXITY + ROW_COMPLEXITY * (alphas?.length ?? 1) }),
    args: {
      saeId: t.arg.id({ required: true, description: 'Id of the SAE whose layer is edited.' }),
      prompt: t.arg.string({ required: true, description: 'What to continue, as it is.' }),
      edits: t.arg({ type: [EditInputRef], required: true, description: `The edits. ${EDITS_DESCRIPTION}` }),
      ...settingArgs(t, steerSettings),
    },
    resolve: (_root, { saeId, edits, prompt, alphas, maxNewTokens }, work) =>
      steerPrompt(work, {
        ...{ saeId: idOf(saeId, ['Sae'], ['saeId']), prompt, edits: editsFrom(edits) },
        ...{ alphas: alphas ?? undefined, maxNewTokens: maxNewTokens ?? undefined },
      }),
  }),
);
