/** What fires on any text, token by token. */
import { invalidInput } from '../errors.ts';
import { latentOf } from '../services/latent.ts';
import { type ActiveToken, readActivations, TOP_LATENTS } from '../services/latentText.ts';
import type { Sae } from '../services/sae.ts';
import { builder } from './builder.ts';
import { idOf } from './ids.ts';
import { LatentRef } from './refs.ts';

/** In the terms of the complexity rule: the text runs through the model. */
const COMPLEXITY = 300;
const DEFAULT_LATENTS = 5;

interface Active {
  sae: Sae;
  latent: number;
  activation: number;
}

const LatentActivation = builder.objectRef<Active>('LatentActivation').implement({
  description: 'A latent that fires on a token.',
  fields: (t) => ({
    latent: t.field({
      type: LatentRef,
      description: 'The latent.',
      resolve: ({ sae, latent }) => latentOf(sae, latent),
    }),
    activation: t.exposeFloat('activation', { description: 'Its activation.' }),
  }),
});

const TextToken = builder.objectRef<ActiveToken & { sae: Sae }>('TextToken').implement({
  description: 'A token of a text.',
  fields: (t) => ({
    text: t.exposeString('text', {
      description:
        'The part of the text that it stands for; those of all tokens joined are the text. Empty where only the next token completes a character.',
    }),
    latents: t.field({
      type: [LatentActivation],
      description: 'The latents that are strongest on it and above 0, slots among them, strongest first.',
      args: {
        first: t.arg.int({
          defaultValue: DEFAULT_LATENTS,
          description: `At most this many, 0–${TOP_LATENTS}.`,
        }),
      },
      complexity: ({ first }) => ({ field: 1, multiplier: Math.max(0, first ?? DEFAULT_LATENTS) }),
      resolve: ({ sae, latents, activations }, { first }) =>
        Array.from(latents.subarray(0, checkFirst(first)), (latent, i) => ({
          ...{ sae, latent, activation: activations[i]! },
        })),
    }),
  }),
});

const TextActivations = builder
  .objectRef<{ sae: Sae; tokens: readonly ActiveToken[] }>('TextActivations')
  .implement({
    description: 'What the latents of an SAE do on a text.',
    fields: (t) => ({
      tokens: t.field({
        type: [TextToken],
        description: 'Its tokens in order.',
        resolve: ({ sae, tokens }) => tokens.map((token) => ({ ...token, sae })),
      }),
    }),
  });

builder.queryField('activations', (t) =>
  t.field({
    type: TextActivations,
    complexity: COMPLEXITY,
    description:
      'The latents of an SAE at every token of any text that the model can read at once: at most its context, and 10,000 characters.',
    args: {
      saeId: t.arg.id({ required: true, description: 'Id of the SAE.' }),
      text: t.arg.string({ required: true, description: 'The text, as it is.' }),
      chat: t.arg.boolean({
        required: false,
        description:
          "True: the text is a user's message, put by the model's chat template; the tokens are all that the model reads, up to where it is to answer. Default: false.",
      }),
    },
    resolve: (_root, { saeId, ...given }, work) =>
      readActivations(work, { saeId: idOf(saeId, ['Sae'], ['saeId']), ...given }),
  }),
);

function checkFirst(first: number | null | undefined): number {
  if (first != null && first >= 0 && first <= TOP_LATENTS) return first;
  throw invalidInput(['first'], `first must be 0 to ${TOP_LATENTS}, got ${first}`);
}
