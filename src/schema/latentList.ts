/** The latents of an SAE as a list, and those that tell a concept best. */
import { LATENT_ORDERS, listLatents, searchLatents } from '../services/latentSurvey.ts';
import { builder } from './builder.ts';
import { conceptKeyOrId, idOf } from './ids.ts';
import { checkFirst, LatentMatchRef } from './latent.ts';
import { OrderDirection } from './order.ts';
import { LatentConnection, LatentRef, SaeRef } from './refs.ts';

/** When asked first, all latents are measured, which is seconds of the engine's time; later it is a read. */
const LIST_COMPLEXITY = 300;
const DEFAULT_MATCHES = 10;

const MEANINGS: Record<(typeof LATENT_ORDERS)[number], string> = {
  INDEX: 'Their numbers.',
  DENSITY: 'On how many prompts they fire.',
  MEAN: 'Mean activation over the prompts.',
  MAX: 'Largest activation on any prompt.',
};

const LatentOrderField = builder.enumType('LatentOrderField', {
  description: 'By what latents are ordered; equals by their numbers.',
  values: Object.fromEntries(
    LATENT_ORDERS.map((field) => [field, { description: MEANINGS[field] }]),
  ) as Record<(typeof LATENT_ORDERS)[number], { description: string }>,
});

const LatentOrder = builder.inputType('LatentOrder', {
  description: 'The order of latents.',
  fields: (t) => ({
    field: t.field({ type: LatentOrderField, required: true, description: 'By what.' }),
    direction: t.field({
      type: OrderDirection,
      defaultValue: 'ASC',
      required: true,
      description: 'Which end comes first.',
    }),
  }),
});

const LatentFilter = builder.inputType('LatentFilter', {
  description: 'Which latents to list; conditions left out do not restrict.',
  fields: (t) => ({
    isSlot: t.boolean({ required: false, description: 'True: slots; false: free latents.' }),
    isDead: t.boolean({
      required: false,
      description: 'True: those that fire on none of the prompts; false: those that fire on any.',
    }),
    minDensity: t.float({
      required: false,
      description: 'Those that fire on at least this share of the prompts, 0–1.',
    }),
    maxDensity: t.float({
      required: false,
      description: 'Those that fire on at most this share of the prompts, 0–1.',
    }),
  }),
});

const datasetArg = {
  required: false,
  description: 'On whose prompts they are measured. Default: the dataset of the SAE.',
} as const;

const datasetOf = (id: string | null | undefined) => id && idOf(id, ['Dataset'], ['datasetId']);

builder.objectFields(SaeRef, (t) => ({
  latents: t.connection(
    {
      type: LatentRef,
      description:
        'Its latents, by number unless ordered otherwise. The first time all are measured on the prompts, which takes the engine a second for a thousand of them; later pages, and later days, only read.',
      args: {
        datasetId: t.arg.id(datasetArg),
        filter: t.arg({ type: LatentFilter, required: false, description: 'Which latents.' }),
        orderBy: t.arg({
          type: LatentOrder,
          required: false,
          description: 'In which order. Default: by number, the smallest first.',
        }),
      },
      complexity: ({ first, last }) => ({ field: LIST_COMPLEXITY, multiplier: first ?? last ?? 20 }),
      resolve: (sae, { datasetId, filter, orderBy, ...args }, context) =>
        listLatents(context, sae, { datasetId: datasetOf(datasetId), filter, orderBy }, args),
    },
    LatentConnection,
  ),
  latentsOfConcept: t.field({
    type: [LatentMatchRef],
    description: 'The latents that tell a concept best from all others, best first.',
    args: {
      concept: t.arg.string({ required: true, description: 'The concept: its key or its id.' }),
      first: t.arg.int({ defaultValue: DEFAULT_MATCHES, description: 'At most this many, 0–50.' }),
      datasetId: t.arg.id(datasetArg),
    },
    complexity: ({ first }) => ({ field: LIST_COMPLEXITY, multiplier: first ?? DEFAULT_MATCHES }),
    resolve: (sae, { concept, first, datasetId }, context) =>
      searchLatents(context, sae, {
        concept: conceptKeyOrId(concept),
        count: checkFirst(first),
        datasetId: datasetOf(datasetId),
      }),
  }),
}));
