/** Single latents: what drives them and what they write, worked out by the engine when it is asked for. */
import { nLatentsOf } from '../engine/contract/sae.ts';
import { invalidInput } from '../errors.ts';
import { conceptsOfDatasets, findConcept } from '../runs/concepts.ts';
import { examplesByIds } from '../services/dataset.ts';
import {
  LATENT_LIST,
  type Latent,
  type LatentPage,
  type LatentTokens,
  latentExampleKey,
  latentKey,
  latentOf,
  latentOfKey,
  latentPages,
  latentTokens,
  measuredOn,
} from '../services/latent.ts';
import { type LatentMatch, searchLatents, separabilities } from '../services/latentSurvey.ts';
import type { Concept } from '../services/ontology.ts';
import type { Run } from '../services/run.ts';
import { saeOfRuns, saesByIds } from '../services/sae.ts';
import { builder } from './builder.ts';
import type { Context } from './context.ts';
import { conceptKeyOrId } from './ids.ts';
import { RateRef } from './rate.ts';
import {
  AlignmentRunRef,
  BaselineRunRef,
  ConceptRef,
  ExampleRef,
  LatentRef,
  SaeRef,
  SlotRef,
} from './refs.ts';

/** In the terms of the complexity rule, when asked first: a page is milliseconds of the engine's time, a search seconds. */
const PAGE_COMPLEXITY = 30;
const SEARCH_COMPLEXITY = 300;
const TOKENS_COMPLEXITY = 30;

/** The argument and the cost of a list that comes with its latent's page. */
function listOf(fallback: number) {
  return {
    args: builder.args((t) => ({
      first: t.int({ defaultValue: fallback, description: `At most this many, 0–${LATENT_LIST}.` }),
    })),
    complexity: ({ first }: { first?: number | null }) => ({ field: 1, multiplier: first ?? fallback }),
  };
}

const HistogramBin = builder.objectRef<LatentPage['histogram'][number]>('HistogramBin').implement({
  description: 'How many values lie within a range.',
  fields: (t) => ({
    from: t.exposeFloat('from', { description: 'Smallest value that belongs to it.' }),
    to: t.exposeFloat('to', {
      description: 'Where the next bin begins; the last bin includes this value.',
    }),
    count: t.exposeInt('count', { description: 'Number of values.' }),
  }),
});

interface OfConcept {
  concept: Concept;
  measured: LatentPage['concepts'][number];
}

const ConceptFiringRate = builder.objectRef<OfConcept>('ConceptFiringRate').implement({
  description: 'How often a latent fires on the prompts about one concept.',
  fields: (t) => ({
    concept: t.field({ type: ConceptRef, description: 'The concept.', resolve: ({ concept }) => concept }),
    rate: t.field({
      type: RateRef,
      description: 'Share of the prompts about it on which the latent fires.',
      resolve: ({ measured }) => toRate(measured.firing),
    }),
  }),
});

const ConceptSeparability = builder
  .objectRef<{ concept: Concept; value: number | null }>('ConceptSeparability')
  .implement({
    description: 'How well a latent tells one concept from all others.',
    fields: (t) => ({
      concept: t.field({ type: ConceptRef, description: 'The concept.', resolve: ({ concept }) => concept }),
      value: t.float({
        nullable: true,
        description:
          '`max(0, 2 · AUROC − 1)` of the activation on prompts about the concept against all others, on the TRAIN prompts that the SAE learned from: 1 tells them without error, 0 is chance or worse. Null where all or none of them are about the concept.',
        resolve: ({ value }) => value,
      }),
    }),
  });

const LatentToken = builder.objectRef<LatentPage['raised'][number]>('LatentToken').implement({
  description: 'A token that a latent makes more or less likely.',
  fields: (t) => ({
    token: t.exposeString('token', { description: 'Text of the token.' }),
    score: t.exposeFloat('score', {
      description:
        "Logit lens: the latent's decoder column times the model's unembedding, at this token. Above 0 is raised, below 0 lowered; comparable within a latent.",
    }),
  }),
});

const TokenActivation = builder.objectRef<LatentTokens[number]>('TokenActivation').implement({
  description: 'A latent at one token of a prompt.',
  fields: (t) => ({
    text: t.exposeString('text', { description: 'Text of the token.' }),
    activation: t.exposeFloat('activation', { description: 'The activation at it.' }),
  }),
});

type TopExample = LatentPage['topExamples'][number] & { latent: Latent };

const LatentExample = builder.objectRef<TopExample>('LatentExample').implement({
  description: 'A prompt on which a latent fires.',
  fields: (t) => ({
    activation: t.exposeFloat('activation', { description: 'The activation at the last prompt token.' }),
    prompt: t.string({
      description: 'Text of the prompt.',
      resolve: async ({ promptId }, _args, { loaders }) =>
        (await loaders.load(examplesByIds, promptId))!.prompt!,
    }),
    example: t.field({
      type: ExampleRef,
      description: 'The example of the dataset that the prompt comes from.',
      resolve: async ({ promptId }, _args, { loaders }) => (await loaders.load(examplesByIds, promptId))!,
    }),
    tokens: t.field({
      type: [TokenActivation],
      complexity: TOKENS_COMPLEXITY,
      description: 'The latent at every token of the prompt, in order.',
      resolve: ({ latent, promptId }, _args, { loaders }) =>
        loaders.loadWork(latentTokens, latentExampleKey(latent, promptId)),
    }),
  }),
});

const LatentNeighbour = builder
  .objectRef<LatentPage['nearest'][number] & { of: Latent }>('LatentNeighbour')
  .implement({
    description: 'A latent that writes in nearly the same direction as another.',
    fields: (t) => ({
      cosine: t.exposeFloat('cosine', { description: 'Cosine of the two decoder columns, -1 to 1.' }),
      latent: t.field({
        type: LatentRef,
        complexity: PAGE_COMPLEXITY,
        description: 'The other latent.',
        resolve: ({ of, latent }) => ({ saeId: of.saeId, datasetId: of.datasetId, index: latent }),
      }),
    }),
  });

builder.node(LatentRef, {
  description: `A latent of an SAE, free or a slot, as it fires at the last token of a dataset's prompts of one concept (an even sample of at most 8192, fewer for large models). Measured when it is first asked for, and kept; all latents of one SAE in an operation are one request to the engine.`,
  id: { resolve: latentKey },
  loadOne: async (key, { loaders }) => {
    const latent = latentOfKey(key);
    const sae = await loaders.load(saesByIds, latent.saeId);
    return sae && latent.index < nLatentsOf(sae.config) ? latent : null;
  },
  fields: (t) => ({
    index: t.exposeInt('index', { description: 'Its number in the SAE: free latents first, then slots.' }),
    sae: t.field({
      type: SaeRef,
      description: 'The SAE that it is of.',
      resolve: async ({ saeId }, _args, { loaders }) => (await loaders.load(saesByIds, saeId))!,
    }),
    concept: t.field({
      type: ConceptRef,
      nullable: true,
      description: 'The concept that it is dedicated to; null for a free latent.',
      resolve: async ({ saeId, index }, _args, { loaders }) => {
        const sae = await loaders.load(saesByIds, saeId);
        if (!sae || index < sae.config.nFree || sae.datasetId === null) return null;
        const concepts = await loaders.load(conceptsOfDatasets, sae.datasetId);
        return concepts[index - sae.config.nFree];
      },
    }),
    firingRate: t.field({
      type: RateRef,
      description:
        'Share of the prompts on which it fires: a slot above 0.5, a free latent at anything but 0.',
      resolve: async (latent, _args, { loaders }) => {
        const { stats } = latent;
        if (stats) return { successes: stats.fired, trials: stats.prompts };
        return toRate((await pageOf(latent, loaders)).firing);
      },
    }),
    mean: t.float({
      description: 'Mean activation over the prompts.',
      resolve: async (latent, _args, { loaders }) =>
        latent.stats?.mean ?? (await pageOf(latent, loaders)).mean,
    }),
    max: t.float({
      description: 'Largest activation on any of the prompts.',
      resolve: async (latent, _args, { loaders }) => latent.stats?.max ?? (await pageOf(latent, loaders)).max,
    }),
    histogram: t.field({
      type: [HistogramBin],
      description:
        'Its activations on the prompts, in 20 equal bins from the smallest to the largest; in one where all are equal.',
      resolve: async (latent, _args, { loaders }) => (await pageOf(latent, loaders)).histogram,
    }),
    firingRateByConcept: t.field({
      type: [ConceptFiringRate],
      description: 'How often it fires on the prompts about each concept, in the order of the ontology.',
      resolve: (latent, _args, { loaders }) => conceptsOfPage(latent, loaders),
    }),
    separability: t.field({
      type: [ConceptSeparability],
      description: 'How well it tells each concept from all others, in the order of the ontology.',
      resolve: (latent, _args, { loaders }) => separabilityOf(latent, loaders),
    }),
    topExamples: t.field({
      type: [LatentExample],
      description: 'The prompts on which it is strongest and above 0, strongest first.',
      ...listOf(5),
      resolve: async (latent, { first }, { loaders }) =>
        (await pageOf(latent, loaders)).topExamples
          .slice(0, checkFirst(first))
          .map((example) => ({ ...example, latent })),
    }),
    raisedTokens: t.field({
      type: [LatentToken],
      description: 'The tokens whose logits it raises, most raised first.',
      ...listOf(10),
      resolve: async (latent, { first }, { loaders }) =>
        (await pageOf(latent, loaders)).raised.slice(0, checkFirst(first)),
    }),
    loweredTokens: t.field({
      type: [LatentToken],
      description: 'The tokens whose logits it lowers, most lowered first.',
      ...listOf(10),
      resolve: async (latent, { first }, { loaders }) =>
        (await pageOf(latent, loaders)).lowered.slice(0, checkFirst(first)),
    }),
    nearest: t.field({
      type: [LatentNeighbour],
      description: 'The latents whose decoder columns point most nearly the same way, nearest first.',
      ...listOf(5),
      resolve: async (latent, { first }, { loaders }) =>
        (await pageOf(latent, loaders)).nearest
          .slice(0, checkFirst(first))
          .map((neighbour) => ({ ...neighbour, of: latent })),
    }),
  }),
});

export const LatentMatchRef = builder.objectRef<LatentMatch>('LatentMatch').implement({
  description: 'A latent that a search for a concept has found.',
  fields: (t) => ({
    latent: t.field({
      type: LatentRef,
      complexity: PAGE_COMPLEXITY,
      description: 'The latent.',
      resolve: ({ latent }) => latent,
    }),
    separability: t.exposeFloat('separability', {
      nullable: true,
      description:
        'Separability for the concept on TRAIN, by which it was found; see `ConceptSeparability.value`.',
    }),
    heldOutSeparability: t.exposeFloat('heldOutSeparability', {
      nullable: true,
      description:
        'The same on TEST_OOD, which did not choose it; null where no prompt there is about the concept.',
    }),
  }),
});

for (const run of [AlignmentRunRef, BaselineRunRef]) {
  builder.objectFields(run, (t) => ({
    latent: t.field({
      type: LatentRef,
      nullable: true,
      complexity: PAGE_COMPLEXITY,
      description:
        'One latent of its SAE; null before the end, and where the SAE has no latent of this number.',
      args: {
        index: t.arg.int({
          required: true,
          description: 'Number of the latent: free latents from 0, then slots.',
        }),
      },
      resolve: async (owner: Run, { index }, { loaders }) => {
        const sae = await loaders.load(saeOfRuns, owner.id);
        return sae && index >= 0 && index < nLatentsOf(sae.config) ? latentOf(sae, index) : null;
      },
    }),
    latents: t.field({
      type: [LatentMatchRef],
      description:
        'The latents of its SAE that tell a concept best from all others, best first; empty before the end.',
      args: {
        concept: t.arg.string({ required: true, description: 'The concept: its key or its id.' }),
        ...listOf(10).args,
      },
      complexity: ({ first }) => ({ field: SEARCH_COMPLEXITY, multiplier: first ?? 10 }),
      resolve: async (owner: Run, { concept, first }, context) => {
        const sae = await context.loaders.load(saeOfRuns, owner.id);
        const [keyOrId, count] = [conceptKeyOrId(concept), checkFirst(first)];
        if (sae) return searchLatents(context, sae, { concept: keyOrId, count });
        findConcept(await context.loaders.load(conceptsOfDatasets, owner.datasetId), keyOrId, ['concept']);
        return [];
      },
    }),
  }));
}

builder.objectField(SlotRef, 'latent', (t) =>
  t.field({
    type: LatentRef,
    complexity: PAGE_COMPLEXITY,
    description: 'Its page: when it fires, on what, and what it writes.',
    resolve: async ({ runId, index }, _args, { loaders }) =>
      latentOf((await loaders.load(saeOfRuns, runId))!, index),
  }),
);

export function checkFirst(first: number | null | undefined): number {
  if (first != null && first >= 0 && first <= LATENT_LIST) return first;
  throw invalidInput(['first'], `first must be 0 to ${LATENT_LIST}, got ${first}`);
}

async function pageOf(latent: Latent, loaders: Context['loaders']): Promise<LatentPage> {
  return (await loaders.loadWork(latentPages, latentKey(latent)))!;
}

async function conceptsOfPage(latent: Latent, loaders: Context['loaders']): Promise<OfConcept[]> {
  const { datasetId } = measuredOn(latent);
  const [concepts, page] = await Promise.all([
    loaders.load(conceptsOfDatasets, datasetId),
    pageOf(latent, loaders),
  ]);
  return page.concepts.map((measured, i) => ({ measured, concept: concepts[i]! }));
}

/** Of listed latents without their pages, which nobody needs for it. */
async function separabilityOf(latent: Latent, loaders: Context['loaders']) {
  const known = separabilities(latent);
  if (!known)
    return (await conceptsOfPage(latent, loaders)).map(({ concept, measured }) => ({
      concept,
      value: measured.separability,
    }));
  const concepts = await loaders.load(conceptsOfDatasets, measuredOn(latent).datasetId);
  return concepts.map((concept, i) => ({ concept, value: known[i]! }));
}

function toRate({ fired, prompts }: LatentPage['firing']) {
  return { successes: fired, trials: prompts };
}
