/** How long the server takes over the queries of each view, one after the other, over HTTP: those of the page itself. */
import { makeRuns, type TinyRuns } from '../../test/page/runs.ts';
import * as documents from '../../web/src/api/documents.ts';

/** Each query is asked so often; what is measured by the engine when it is first asked for comes before. */
const TIMES = 21;

interface Asked {
  document: string;
  variables: Record<string, unknown>;
}

export interface ViewTime {
  view: string;
  /** Its slowest query. */
  query: string;
  medianMs: number;
}

type Answer = Record<string, unknown>;

export interface Api {
  endpoint: string;
}

/** Short runs of each kind, made by the server itself. */
export const makeViewedRuns = (api: Api): Promise<TinyRuns> => makeRuns(api);

export async function timeViews(api: Api, runs: TinyRuns): Promise<ViewTime[]> {
  const times: ViewTime[] = [];
  for (const [view, asked] of Object.entries(await viewsOf(api, runs))) {
    const own: ViewTime[] = [];
    for (const each of asked)
      own.push({ view, query: nameOf(each.document), medianMs: await timeQuery(api, each) });
    times.push(own.reduce((slowest, one) => (one.medianMs > slowest.medianMs ? one : slowest)));
  }
  return times;
}

async function viewsOf(api: Api, runs: TinyRuns): Promise<Record<string, Asked[]>> {
  const SAE =
    'query ($id: ID!) { run(id: $id) { ... on AlignmentRun { sae { id } dataset { ontology { concepts { id } } } } } }';
  const { run } = (await ask(api, SAE, { id: runs.alignment })) as {
    run: { sae: { id: string }; dataset: { ontology: { concepts: { id: string }[] } } };
  };
  const [sae, concept] = [run.sae.id, run.dataset.ontology.concepts[0]!.id];
  const list = { first: 50, filter: { isPart: false } };
  const of = (document: string, variables: Record<string, unknown>): Asked => ({ document, variables });
  const alignment = (document: string, more: object = {}) => of(document, { id: runs.alignment, ...more });
  const split = 'TEST_OOD';
  const orderBy = { field: 'DENSITY', direction: 'DESC' };
  return {
    'all runs': [of(documents.Runs, list), of(documents.RunSparks, list), of(documents.Engine, {})],
    'a run': [alignment(documents.Run, { maxPoints: 1000 }), alignment(documents.RunSummary)],
    binding: [
      alignment(documents.Binding, { split }),
      of(documents.ConceptExamples, { dataset: runs.dataset, concept, split }),
      alignment(documents.SlotDrawer),
      alignment(documents.BindingTraining),
      alignment(documents.BindingLook, { step: 60 }),
    ],
    latents: [
      alignment(documents.Latents),
      of(documents.LatentPage, { sae, first: 500, orderBy: { field: 'INDEX', direction: 'DESC' } }),
      of(documents.LatentPage, { sae, first: 25, orderBy }),
      alignment(documents.Latent, { index: 33 }),
    ],
    swap: [
      alignment(documents.SwapView),
      of(documents.SwapPrompts, { dataset: runs.dataset, concept, split, first: 40, text: null }),
    ],
    'a text': [
      alignment(documents.PromptView),
      of(documents.Activations, { saeId: sae, text: 'what is the major' }),
    ],
    layers: [of(documents.Layers, { id: runs.sweep, split })],
    film: [of(documents.Film, { id: runs.grokking })],
    compare: [of(documents.Compare, { ids: [runs.alignment, runs.modelRun] })],
    models: [of(documents.Models, { first: 50 }), of(documents.Imports, {})],
    datasets: [
      of(documents.Datasets, { first: 50 }),
      of(documents.DatasetDetail, { id: runs.dataset, first: 25 }),
    ],
  };
}

async function timeQuery(api: Api, { document, variables }: Asked): Promise<number> {
  await ask(api, document, variables);
  const times: number[] = [];
  for (let i = 0; i < TIMES; i += 1) {
    const start = performance.now();
    await ask(api, document, variables);
    times.push(performance.now() - start);
  }
  return times.sort((a, b) => a - b)[TIMES >> 1]!;
}

async function ask({ endpoint }: Api, query: string, variables: Record<string, unknown>): Promise<Answer> {
  const response = await fetch(endpoint, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/graphql-response+json' },
    body: JSON.stringify({ query, variables }),
  });
  const { data, errors } = (await response.json()) as { data: Answer; errors?: { message: string }[] };
  if (errors) throw new Error(`${nameOf(query)}: ${errors[0]!.message}`);
  return data;
}

function nameOf(document: string): string {
  return /^query (\w+)/.exec(document)?.[1] ?? 'query';
}
