/**
 * How long a page of latents, the latents of a concept, the list and the same asked again take, over HTTP, on an alignment
 * of the default size: one server with API, worker and embedded Postgres as in the demo.
 * `npx tsx bench/latents.ts [--people 100] [--steps 300] [--times 9]`
 */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { createApiClient, success } from '../src/demo/client.ts';
import { GENERATE_DATASET, START_ALIGNMENT_RUN, START_MODEL_RUN } from '../src/demo/operations.ts';
import { startOwnServer } from '../src/demo/server.ts';

const { values: options } = parseArgs({
  options: {
    people: { type: 'string', default: '100' },
    steps: { type: 'string', default: '300' },
    times: { type: 'string', default: '9' },
  },
});

/** The one that the guide shows. */
const guide = readFileSync(new URL('../docs/latents.md', import.meta.url), 'utf8');
const SLOT_PAGE = /```graphql\n(query SlotPage[\s\S]*?)```/.exec(guide)![1]!;
const CONCEPT = `query ($id: ID!) { run(id: $id) { ... on AlignmentRun { latents(concept: "birth_city") {
  separability heldOutSeparability latent { index } } } } }`;
const LIST = `query ($id: ID!) { run(id: $id) { ... on AlignmentRun { sae { latents(first: 50, orderBy: { field: DENSITY, direction: DESC }) {
  totalCount edges { node { id index concept { key } mean max firingRate { value } } } pageInfo { endCursor } } } } } }`;

type Started = {
  [name: string]: { __typename: `${string}Success`; run: { id: string }; dataset: { id: string } };
};

const server = await startOwnServer();
const api = createApiClient(new URL('/graphql', server.url).href);
try {
  const make = async (query: string, input: object) =>
    success(Object.values(await api.request<Started>(query, { input }))[0]!);
  const { dataset } = await make(GENERATE_DATASET, { people: Number(options.people), seed: 0 });
  const model = await make(START_MODEL_RUN, {
    datasetId: dataset.id,
    settings: { steps: Number(options.steps) },
  });
  const modelId = (await ended<{ model: { id: string } }>(model.run.id, '... on ModelRun { model { id } }'))
    .model.id;
  const settings = { layer: 1, pretrain: { steps: 50 }, posttrain: { steps: 100 } };
  const alignment = await make(START_ALIGNMENT_RUN, { modelId, settings });
  await ended(alignment.run.id, 'id');
  const { id } = alignment.run;
  await time('slot page', SLOT_PAGE, { runId: id });
  await time('latents(concept)', CONCEPT, { id });
  await time('latents, 50 by density', LIST, { id });
} finally {
  await api.close();
  await server.stop();
}

/** Waits for the run's end. */
async function ended<T>(id: string, fields: string): Promise<T> {
  for (;;) {
    const { run } = await api.request<{ run: T & { status: string } }>(
      `query ($id: ID!) { run(id: $id) { status ${fields} } }`,
      { id },
    );
    if (run.status === 'SUCCEEDED') return run;
    if (run.status === 'FAILED') throw new Error(`run ${id} failed`);
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
}

async function time(what: string, query: string, variables: object): Promise<void> {
  const ms: number[] = [];
  for (let i = 0; i <= Number(options.times); i++) {
    const start = performance.now();
    await api.request(query, variables as never);
    ms.push(performance.now() - start);
  }
  const [first, ...again] = ms;
  again.sort((a, b) => a - b);
  const median = again[Math.floor(again.length / 2)]!;
  console.log(
    `${what}: first ${first!.toFixed(0)} ms, again median ${median.toFixed(1)} ms, slowest ${again.at(-1)!.toFixed(1)} ms`,
  );
}
