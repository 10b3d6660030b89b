/** Latent pages through the API, on a stored run and the real engine. */
import { eq } from 'drizzle-orm';
import { afterAll, beforeAll, describe, expect, inject, it, vi } from 'vitest';
import { insertLatentPages } from '../../src/db/queries/latentStats.ts';
import { latentPages, metricPoints, saes } from '../../src/db/tables/index.ts';
import { EngineCalls } from '../../src/jobs/calls.ts';
import { encodeGlobalId } from '../../src/schema/ids.ts';
import { tinySae } from '../engine/align/tinySae.ts';
import { insertRunningRun } from '../helpers/fixtures.ts';
import { silentLog } from '../helpers/log.ts';
import { storeTinyAlignment, TINY_ITEMS, type TinyAlignment } from '../helpers/tinyAlignment.ts';
import { type Api, type Data, openApi } from './api.ts';
import { contract } from './contract.ts';

const [N_FREE, N_SLOTS] = [4, 3];

let calls: EngineCalls;
let api: Api;
let stored: TinyAlignment;
/** Global ids. */
let runId: string;
let baselineId: string;

beforeAll(async () => {
  calls = new EngineCalls({ backend: 'auto', native: inject('native'), log: silentLog });
  api = await openApi({ engine: calls });
  const { store } = api.dependencies;
  stored = await storeTinyAlignment(api.database.db, store);
  runId = encodeGlobalId('AlignmentRun', stored.runId);
  const baseline = await storeTinyAlignment(api.database.db, store, {
    ...{ kind: 'BASELINE', sae: tinySae(1, { slots: false }) },
  });
  baselineId = encodeGlobalId('BaselineRun', baseline.runId);
});
afterAll(async () => {
  await calls.stop();
  await api.close();
});

const PAGE = /* GraphQL */ `
  fragment Page on Latent {
    index concept { key } firingRate { trials successes value interval { low high } } mean max
    histogram { from to count }
    firingRateByConcept { concept { key } rate { trials successes } }
    separability { concept { key } value }
    topExamples(first: 3) { prompt activation example { id prompt } tokens { text activation } }
    raisedTokens(first: 4) { token score } loweredTokens(first: 4) { token score }
    nearest(first: 2) { cosine latent { index concept { key } } }
  }
`;
const LATENT = `${PAGE} query ($id: ID!, $index: Int!) {
  run(id: $id) { ... on AlignmentRun { latent(index: $index) { ...Page } } ... on BaselineRun { latent(index: $index) { ...Page } } }
}`;
const EVERY = Array.from({ length: N_FREE + N_SLOTS }, (_, i) => `l${i}: latent(index: ${i}) { ...Page }`);
const ALL = `${PAGE} query ($id: ID!) { run(id: $id) { ... on AlignmentRun { ${EVERY.join(' ')} } } }`;
const SLOTS = `${PAGE} query ($id: ID!) {
  run(id: $id) { ... on AlignmentRun { slots { edges { node { index latent { ...Page } } } } } }
}`;

const WHOLE_LIST = `query ($id: ID!) {
  run(id: $id) { ... on AlignmentRun { sae { latents(first: 20) { edges { node { index histogram { count } } } } } } }
}`;

/** Resolves when a statement waits for another transaction. */
async function untilBlocked(): Promise<void> {
  const blocked = `select from pg_locks where not granted and locktype = 'transactionid'`;
  while ((await api.database.pool.query(blocked)).rowCount === 0);
}

describe('a latent', () => {
  it.each([
    ['a free latent', () => runId, 1, null],
    ['a slot', () => runId, N_FREE + 1, { key: 'b' }],
    ['one of a baseline', () => baselineId, 1, null],
  ])('that is %s has a page', async (_what, id, index, concept) => {
    const { latent } = (await api.ask(LATENT, { id: id(), index })).run;
    expect(latent).toMatchObject({ index, concept, firingRate: { trials: 18 } });
    const { successes, value, interval } = latent.firingRate;
    expect(value).toBeCloseTo(successes / 18);
    expect(interval.low).toBeLessThanOrEqual(value);
    expect(interval.high).toBeGreaterThanOrEqual(value);
    const total = (counts: number[]) => counts.reduce((sum, count) => sum + count, 0);
    expect(total(latent.histogram.map((bin: Data) => bin.count))).toBe(18);
    expect(latent.histogram.at(-1).to).toBeCloseTo(latent.max);
    const byConcept = latent.firingRateByConcept;
    expect(byConcept.map((each: Data) => each.concept.key)).toEqual(['a', 'b', 'c']);
    expect(total(byConcept.map((each: Data) => each.rate.successes))).toBe(successes);
    expect(byConcept.every((each: Data) => each.rate.trials === 6)).toBe(true);
    expect(latent.separability.map((each: Data) => each.concept.key)).toEqual(['a', 'b', 'c']);
    expect(Math.max(...latent.separability.map((each: Data) => each.value))).toBeGreaterThan(0);
    expect(latent.raisedTokens[0].score).toBeGreaterThan(0);
    expect(latent.loweredTokens[0].score).toBeLessThan(0);
    expect(latent.nearest[0].cosine).toBeGreaterThanOrEqual(latent.nearest[1].cosine);
  });

  it('shows its activation at every token of its top examples, the last of which ranks them', async () => {
    const { latent } = (await api.ask(LATENT, { id: runId, index: N_FREE + 1 })).run;
    expect(latent.topExamples).toHaveLength(3);
    expect(latent.topExamples[0].activation).toBeCloseTo(latent.max);
    for (const { prompt, activation, example, tokens } of latent.topExamples) {
      expect(example.prompt).toBe(prompt);
      expect(tokens.map(({ text }: Data) => text).join(' ')).toBe(prompt);
      expect(tokens.at(-1).activation).toBeCloseTo(activation, 4);
    }
  });

  it('is null where the SAE has none of this number, and before the end of its run', async () => {
    for (const index of [-1, N_FREE + N_SLOTS])
      expect((await api.ask(LATENT, { id: runId, index })).run.latent).toBeNull();
    expect((await api.ask(LATENT, { id: baselineId, index: N_FREE })).run.latent).toBeNull();
    const { id } = await insertRunningRun(api.database.db, { kind: 'ALIGNMENT' });
    const running = encodeGlobalId('AlignmentRun', id);
    expect((await api.ask(LATENT, { id: running, index: 0 })).run.latent).toBeNull();
    const LATENTS =
      'query ($id: ID!) { run(id: $id) { ... on AlignmentRun { latents(concept: "a") { separability } } } }';
    const { errors } = await api.answer(LATENTS, { id: running });
    expect(errors![0]).toMatchObject({ extensions: { code: 'INVALID_INPUT', path: ['concept'] } });
  });

  it('costs one engine call with all others of its run, and one for their tokens, once; the dataset travels once', async () => {
    const { runId: fresh } = await storeTinyAlignment(api.database.db, api.dependencies.store);
    const id = encodeGlobalId('AlignmentRun', fresh);
    const call = vi.spyOn(calls, 'call');
    const { run } = await api.ask(ALL, { id });
    const asked = () => call.mock.calls.map(([method]) => method);
    // Its dataset is another than that of the same SAE before.
    expect(asked()).toEqual(['latents', 'latents', 'latentTokens']);
    expect(call.mock.calls[0]![1]).toMatchObject({ dataset: null });
    call.mockClear();
    expect((await api.ask(ALL, { id })).run).toEqual(run);
    const { slots } = (await api.ask(SLOTS, { id })).run;
    expect(asked()).toEqual([]);
    call.mockRestore();
    slots.edges.forEach(({ node }: Data) => {
      expect(node.latent).toEqual(run[`l${node.index}`]);
    });
  });

  it('is measured once for all who ask at the same time', async () => {
    const { runId: fresh } = await storeTinyAlignment(api.database.db, api.dependencies.store);
    const id = encodeGlobalId('AlignmentRun', fresh);
    const call = vi.spyOn(calls, 'call');
    const answers = await Promise.all(Array.from({ length: 3 }, () => api.ask(ALL, { id })));
    expect(call.mock.calls.map(([method]) => method)).toEqual(['latents', 'latents', 'latentTokens']);
    call.mockRestore();
    expect(answers[1]).toEqual(answers[0]);
    expect(answers[2]).toEqual(answers[0]);
  });

  it('is stored by two processes at once, in whatever order each has been asked', async () => {
    const { db } = api.database;
    const { latents } = (await api.ask(WHOLE_LIST, { id: runId })).run.sae;
    expect(latents.edges).toHaveLength(7);
    const pages = await db.select().from(latentPages);
    const other = await storeTinyAlignment(db, api.dependencies.store);
    const [sae] = await db.select().from(saes).where(eq(saes.runId, other.runId));
    const row = (index: number) => ({
      ...{ saeId: sae!.id, datasetId: other.datasetId, index },
      page: pages[index]!.page,
    });
    const backwards = await db.transaction(async (tx) => {
      await insertLatentPages(tx, [row(1)]);
      // It comes to wait for the transaction, having inserted nothing that this will ask for.
      const waits = insertLatentPages(db, [row(2), row(1)]);
      await untilBlocked();
      await insertLatentPages(tx, [row(2)]);
      return { waits };
    });
    await backwards.waits;
    const stored = await db.select().from(latentPages).where(eq(latentPages.saeId, sae!.id));
    expect(stored.map(({ index }) => index).sort()).toEqual([1, 2]);
  });

  it('is bounded in its lists', async () => {
    const ASK =
      'query ($id: ID!, $first: Int!) { run(id: $id) { ... on AlignmentRun { latent(index: 0) { nearest(first: $first) { cosine } } } } }';
    for (const first of [-1, 51]) {
      const { errors } = await api.answer(ASK, { id: runId, first });
      expect(errors![0]).toMatchObject({ extensions: { code: 'INVALID_INPUT', path: ['first'] } });
    }
    expect((await api.ask(ASK, { id: runId, first: 50 })).run.latent.nearest).toHaveLength(
      N_FREE + N_SLOTS - 1,
    );
    const GREEDY = `query ($id: ID!) { run(id: $id) { ... on AlignmentRun {
      latent(index: 0) { nearest(first: 50) { latent { nearest(first: 50) { latent { topExamples(first: 50) { tokens { text } } } } } } }
    } } }`;
    const { errors } = await api.answer(GREEDY, { id: runId });
    expect(errors![0]).toMatchObject({ extensions: { code: 'LIMIT_EXCEEDED' } });
  });
});

describe('latents of a concept', () => {
  const SEARCH = /* GraphQL */ `
    query ($id: ID!, $concept: String!, $first: Int) {
      run(id: $id) {
        ... on AlignmentRun {
          latents(concept: $concept, first: $first) {
            separability heldOutSeparability latent { index separability { concept { key id } value } }
          }
        }
      }
    }
  `;
  it('are found by their separability, best first', async () => {
    const { latents } = (await api.ask(SEARCH, { id: runId, concept: 'b', first: 7 })).run;
    expect(latents).toHaveLength(7);
    const values = latents.map((match: Data) => match.separability);
    expect(values).toEqual([...values].sort((x: number, y: number) => y - x));
    expect(values[0]).toBeGreaterThan(0);
    for (const { separability, heldOutSeparability, latent } of latents) {
      expect(latent.separability[1].value).toBe(separability);
      expect(heldOutSeparability).toBeGreaterThanOrEqual(0);
    }
    const [{ latent }] = latents;
    const concept = latent.separability[1].concept.id;
    const few = (await api.ask(SEARCH, { id: runId, concept, first: 2 })).run.latents;
    expect(few).toEqual(latents.slice(0, 2));
  });

  it('are those of the ontology’s concepts alone', async () => {
    const { errors } = await api.answer(SEARCH, { id: runId, concept: 'z' });
    expect(errors![0]).toMatchObject({
      message: expect.stringContaining('a, b, c'),
      extensions: { code: 'INVALID_INPUT', path: ['concept'] },
    });
  });
});

describe('the latents of an SAE', () => {
  const LIST = contract('Latents')
    .replace('orderBy: {field: DENSITY, direction: DESC}', 'orderBy: $orderBy, filter: $filter')
    .replace('$after: String', '$after: String, $orderBy: LatentOrder, $filter: LatentFilter');
  const saeOf = async (id: string): Promise<string> =>
    (
      await api.ask(
        'query ($id: ID!) { run(id: $id) { ... on AlignmentRun { sae { id } } ... on BaselineRun { sae { id } } } }',
        { id },
      )
    ).run.sae.id;
  const nodesOf = (connection: Data) => connection.edges.map(({ node }: Data) => node);
  const list = async (variables: Data) =>
    (await api.ask(LIST, { saeId: await saeOf(runId), first: 20, ...variables })).sae.latents;

  it('are a list in pages, as the contract asks for it, measured once', async () => {
    const saeId = await saeOf(runId);
    const call = vi.spyOn(calls, 'call');
    const whole = (await api.ask(contract('Latents'), { saeId, first: 20 })).sae;
    expect(whole).toMatchObject({
      nLatents: 7,
      latents: { totalCount: 7, pageInfo: { hasNextPage: false } },
    });
    const nodes = nodesOf(whole.latents);
    expect(nodes.map(({ index }: Data) => index).sort()).toEqual([0, 1, 2, 3, 4, 5, 6]);
    const rates = nodes.map(({ firingRate }: Data) => firingRate.value);
    expect(rates).toEqual([...rates].sort((a: number, b: number) => b - a));
    expect(rates[0]).toBeGreaterThan(0);
    expect(nodes.find(({ index }: Data) => index === 5).concept).toEqual({ key: 'b' });
    const asked = call.mock.calls.length;
    const paged: Data[] = [];
    for (let after: string | null = null, more = true; more; ) {
      const { latents }: Data = (await api.ask(contract('Latents'), { saeId, first: 3, after })).sae;
      paged.push(...nodesOf(latents));
      after = latents.pageInfo.endCursor;
      more = latents.pageInfo.hasNextPage;
    }
    expect(paged).toEqual(nodes);
    expect(call.mock.calls).toHaveLength(asked);
    call.mockRestore();
    for (const { index, mean, max, firingRate } of nodes) {
      const page = (await api.ask(LATENT, { id: runId, index })).run.latent;
      expect(mean).toBeCloseTo(page.mean, 6);
      expect(max).toBeCloseTo(page.max, 6);
      expect(firingRate.value).toBe(page.firingRate.value);
    }
  });

  it('tell what they separate without their pages', async () => {
    const { runId: fresh } = await storeTinyAlignment(api.database.db, api.dependencies.store);
    const id = encodeGlobalId('AlignmentRun', fresh);
    const SEPARATE =
      'query ($id: ID!) { sae(id: $id) { latents { edges { node { index separability { concept { key } value } } } } } }';
    const call = vi.spyOn(calls, 'call');
    const nodes = nodesOf((await api.ask(SEPARATE, { id: await saeOf(id) })).sae.latents);
    expect(new Set(call.mock.calls.map(([method]) => method))).toEqual(new Set(['surveyLatents']));
    call.mockRestore();
    expect(nodes).toHaveLength(7);
    const { run } = await api.ask(ALL, { id });
    for (const { index, separability } of nodes) expect(separability).toEqual(run[`l${index}`].separability);
  });

  it.each(['INDEX', 'MEAN', 'MAX'])('are ordered by %s, either way', async (field) => {
    const up = nodesOf(await list({ orderBy: { field, direction: 'ASC' } }));
    const key = field.toLowerCase();
    const values = up.map((node: Data) => node[key]);
    expect(values).toEqual([...values].sort((a: number, b: number) => a - b));
    const first = await list({ first: 4, orderBy: { field, direction: 'DESC' } });
    const rest = await list({ after: first.pageInfo.endCursor, orderBy: { field, direction: 'DESC' } });
    expect([...nodesOf(first), ...nodesOf(rest)]).toEqual([...up].reverse());
  });

  it('are filtered', async () => {
    const indices = async (filter: Data) => nodesOf(await list({ filter })).map(({ index }: Data) => index);
    expect(await indices({ isSlot: true })).toEqual([4, 5, 6]);
    expect(await indices({ isSlot: false })).toEqual([0, 1, 2, 3]);
    const dead = await indices({ isDead: true });
    expect([...dead, ...(await indices({ isDead: false }))].sort()).toEqual([0, 1, 2, 3, 4, 5, 6]);
    const all = nodesOf(await list({}));
    const dense = all
      .filter(({ firingRate }: Data) => firingRate.value >= 0.5)
      .map(({ index }: Data) => index);
    expect(await indices({ minDensity: 0.5 })).toEqual(dense);
    expect((await indices({ maxDensity: 0.5 })).length + dense.length).toBeGreaterThanOrEqual(7);
    const { errors } = await api.answer(LIST, {
      saeId: await saeOf(runId),
      first: 1,
      filter: { minDensity: 2 },
    });
    expect(errors![0]).toMatchObject({
      extensions: { code: 'INVALID_INPUT', path: ['filter', 'minDensity'] },
    });
  });

  it('have ids, by which each is found again', async () => {
    const nodes = nodesOf(await list({}));
    expect(new Set(nodes.map(({ id }: Data) => id)).size).toBe(7);
    const { id, index } = nodes[5];
    const NODE = 'query ($id: ID!) { node(id: $id) { id ... on Latent { index mean sae { id } } } }';
    const { node } = await api.ask(NODE, { id });
    expect(node).toMatchObject({ id, index, sae: { id: await saeOf(runId) } });
    const [saeUuid, dataset] = Buffer.from(id, 'base64').toString().split(':')[1]!.split('/');
    const beyond = encodeGlobalId('Latent', `${saeUuid}/${dataset}/7`);
    expect((await api.ask(NODE, { id: beyond })).node).toBeNull();
    const { errors } = await api.answer(NODE, { id: encodeGlobalId('Latent', `${saeUuid}/x/1`) });
    expect(errors![0]!.message).toMatch(/is not an id of this API/);
  });

  it('tell concepts apart, for an SAE as for its run', async () => {
    const SEARCH = `query ($id: ID!) { sae(id: $id) { latentsOfConcept(concept: "b", first: 2) { separability latent { index } } } }`;
    const { latentsOfConcept } = (await api.ask(SEARCH, { id: await saeOf(runId) })).sae;
    const OF_RUN = `query ($id: ID!) { run(id: $id) { ... on AlignmentRun { latents(concept: "b", first: 2) { separability latent { index } } } } }`;
    expect(latentsOfConcept).toEqual((await api.ask(OF_RUN, { id: runId })).run.latents);
    expect(latentsOfConcept).toHaveLength(2);
  });

  it('are measured on another dataset where it is named, and need one', async () => {
    const other = await storeTinyAlignment(api.database.db, api.dependencies.store, {
      items: TINY_ITEMS.slice(0, -4),
    });
    const ON = `query ($id: ID!, $datasetId: ID) { sae(id: $id) { latents(datasetId: $datasetId) { edges { node { id firingRate { trials } topExamples { prompt } } } } } }`;
    const id = await saeOf(runId);
    const datasetId = encodeGlobalId('Dataset', other.datasetId);
    const { node } = (await api.ask(ON, { id, datasetId })).sae.latents.edges[0];
    expect(node.firingRate.trials).toBe(15);
    expect(node.id).not.toBe(nodesOf(await list({}))[0].id);
    const lone = await storeTinyAlignment(api.database.db, api.dependencies.store);
    await api.database.db.update(saes).set({ datasetId: null }).where(eq(saes.runId, lone.runId));
    const loneId = await saeOf(encodeGlobalId('AlignmentRun', lone.runId));
    const { errors } = await api.answer(ON, { id: loneId });
    expect(errors![0]).toMatchObject({ extensions: { code: 'INVALID_INPUT', path: ['datasetId'] } });
  });
});

describe('a slot', () => {
  it('shows how it was bound through training', async () => {
    const { db } = api.database;
    await db.insert(metricPoints).values(
      [10, 20].flatMap((step) =>
        ['a', 'b'].map((key, i) => ({
          ...{ runId: stored.runId, name: `validation/binding/${key}`, step, at: new Date(), seq: step },
          value: (step + i) / 100,
        })),
      ),
    );
    const HISTORY = /* GraphQL */ `
      query ($id: ID!) {
        run(id: $id) { ... on AlignmentRun { slots { edges { node { bindingHistory { step value } } } } } }
      }
    `;
    const { run } = await api.ask(HISTORY, { id: runId });
    expect(run.slots.edges.map(({ node }: Data) => node.bindingHistory)).toEqual([
      [0.1, 0.2].map((value) => ({ step: value * 100, value })),
      [0.11, 0.21].map((value) => ({ step: Math.floor(value * 10) * 10, value })),
      [],
    ]);
  });
});

it('live generation needs the scope RUN', async () => {
  const input = { runId, prompt: 'ada' };
  await expect(api.subscribe(contract('Generation'), { input }, ['READ'])).rejects.toMatchObject({
    extensions: { code: 'FORBIDDEN' },
  });
});
