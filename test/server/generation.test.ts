/** Live generation as clients see it: over both transports, on a real engine and a stored run. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { type ArtifactStore, openArtifactStore } from '../../src/db/artifactStore.ts';
import type { Database } from '../../src/db/client.ts';
import { AppError } from '../../src/errors.ts';
import { EngineCalls } from '../../src/jobs/calls.ts';
import { encodeGlobalId } from '../../src/schema/ids.ts';
import { tinySae } from '../engine/align/tinySae.ts';
import { createTestDatabase } from '../helpers/database.ts';
import { silentLog } from '../helpers/log.ts';
import { storeTinyAlignment, type TinyAlignment } from '../helpers/tinyAlignment.ts';
import { contract } from '../schema/contract.ts';
import { overSse, overWebSocket, post, startTestApi, type TestApi } from './edge.ts';

const PROMPT = 'fay ada ada';
const GENERATION = contract('Generation');
const SAE_OF =
  'query ($id: ID!) { run(id: $id) { ... on AlignmentRun { sae { id } } ... on BaselineRun { sae { id } } } }';

interface Item {
  __typename: string;
  index?: number;
  text: string;
  slots?: { concept: { key: string }; activation: number }[];
  reason?: string;
}

let dir: string;
let database: Database;
let store: ArtifactStore;
let engine: EngineCalls;
let api: TestApi;
let stored: TinyAlignment;
let runId: string;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'alignsae-generation-'));
  database = await createTestDatabase();
  engine = new EngineCalls({ backend: 'auto', native: inject('native'), log: silentLog });
  store = await openArtifactStore(dir);
  stored = await storeTinyAlignment(database.db, store);
  runId = encodeGlobalId('AlignmentRun', stored.runId);
  api = await startTestApi(database, {}, { work: { engine, store } });
});
afterAll(async () => {
  await api.stop();
  await engine.stop();
  await database.close();
  await rm(dir, { recursive: true });
});

describe.each([
  ['graphql-ws', overWebSocket],
  ['SSE', overSse],
])('generation over %s', (_name, subscribe) => {
  const generate = (input: object) => subscribe<Item>(api, { input: { runId, ...input } }, GENERATION);
  const collect = async (input: object) => {
    const items: Item[] = [];
    for await (const item of generate(input)) items.push(item);
    return items;
  };

  it('tells every token with its slots, then the whole text, and completes', async () => {
    const items = await collect({ prompt: PROMPT, maxNewTokens: 6 });
    const tokens = items.slice(0, -1);
    expect(tokens.length).toBeGreaterThan(2);
    tokens.forEach((token, index) => {
      expect(token).toMatchObject({ __typename: 'TokenGenerated', index, probability: expect.any(Number) });
      expect(token.slots!.map(({ concept }) => concept.key)).toEqual(['a', 'b', 'c']);
    });
    const text = tokens.map((token) => token.text).join('');
    const reason = tokens.length === 6 ? 'LENGTH' : 'EOS';
    expect(items.at(-1)).toEqual({ __typename: 'GenerationFinished', text, reason });
  });

  it('with an edit of the first step alone says what swapConcept says', async () => {
    const edit = { sourceConcept: 'c', targetConcept: 'b', alpha: 5, method: 'DECODER_PAIR' };
    const input = { runId, prompt: PROMPT, maxNewTokens: 6, ...edit };
    const { body } = await post(api, contract('SwapConcept'), { input });
    const { result, baseline, slots } = body.data.swapConcept.intervention;
    expect(result.text).not.toBe(baseline.text);
    const interventions = [{ ...edit, untilStep: 0 }];
    const items = await collect({ prompt: PROMPT, maxNewTokens: 6, interventions });
    expect(items.at(-1)!.text).toBe(result.text);
    const [plain] = await collect({ prompt: PROMPT, maxNewTokens: 1 });
    plain!.slots!.forEach(({ activation }, i) => {
      expect(activation).toBeCloseTo(slots[i].before, 4);
    });
    // By default with the alpha that the run chose, and from there on.
    const concept = encodeGlobalId('Concept', stored.conceptIds[1]!);
    const lasting = { sourceConcept: 'c', targetConcept: concept, armed: true, fromStep: 1 };
    const named = await collect({
      prompt: PROMPT,
      maxNewTokens: 6,
      interventions: [{ ...lasting, alpha: 3 }],
    });
    expect(await collect({ prompt: PROMPT, maxNewTokens: 6, interventions: [lasting] })).toEqual(named);
  });

  it('takes edits of anything beside the swaps, of any SAE', async () => {
    const EDITS = [
      {
        target: { vector: [1, -2, 3, -4, 5, -6, 7, -8] },
        action: 'ADD',
        strength: 1,
        place: { positions: 'ALL' },
      },
      { target: { concept: 'b' }, action: 'SET', strength: 6, place: { fromStep: 1 } },
    ];
    const steered = { prompt: PROMPT, maxNewTokens: 6, edits: EDITS };
    const items = await collect(steered);
    const { body } = await post(api, SAE_OF, { id: runId });
    const saeId = body.data.run.sae.id;
    expect(await collect({ ...steered, runId: undefined, saeId })).toEqual(items);
    const answer = await post(api, contract('Steer'), { saeId, prompt: PROMPT, edits: EDITS });
    const [{ continuation }] = answer.body.data.steer.results;
    expect(items.slice(0, -1).map(({ text }) => text)).toEqual(
      continuation.tokens.slice(0, 6).map(({ text }: Item) => text),
    );
    // A swap comes first, whatever is edited after it.
    const interventions = [{ sourceConcept: 'c', targetConcept: 'b', alpha: 5, method: 'DECODER_PAIR' }];
    const swap = { source: { concept: 'c' }, target: { concept: 'b' }, action: 'SWAP', strength: 5 };
    const both = await collect({ ...steered, interventions });
    const edits = [{ ...swap, method: 'DECODER_PAIR' }, ...EDITS];
    expect(await collect({ ...steered, edits })).toEqual(both);
    const bare = await storeTinyAlignment(database.db, store, {
      ...{ kind: 'BASELINE', sae: tinySae(1, { slots: false }) },
    });
    const id = encodeGlobalId('BaselineRun', bare.runId);
    const found = await post(api, SAE_OF, { id });
    const baseline = { prompt: PROMPT, maxNewTokens: 3, runId: undefined, saeId: found.body.data.run.sae.id };
    const [token] = await collect({ ...baseline, edits: [EDITS[0]] });
    expect(token).toMatchObject({ index: 0, slots: [] });
    await expect(collect({ ...baseline, interventions })).rejects.toMatchObject({
      extensions: { path: ['interventions'] },
    });
  });

  it('takes an example of the dataset, and draws by a seed', async () => {
    const EXAMPLES =
      'query ($id: ID!) { run(id: $id) { dataset { examples(first: 1) { edges { node { id prompt } } } } } }';
    const { body } = await post(api, EXAMPLES, { id: runId });
    const { id, prompt } = body.data.run.dataset.examples.edges[0].node;
    const drawn = { maxNewTokens: 8, temperature: 2, topK: 6, seed: 1 };
    const items = await collect({ exampleId: id, ...drawn });
    expect(await collect({ prompt, ...drawn })).toEqual(items);
    expect(await collect({ prompt, ...drawn, seed: 2 })).not.toEqual(items);
    expect(await collect({ prompt, seed: 1 })).toEqual(await collect({ prompt, seed: 1, temperature: 1 }));
  });

  it('ends in the engine when the client leaves, who does not hold others up', async () => {
    const pid = engine.enginePid;
    const leaving = generate({ prompt: PROMPT, maxNewTokens: 8 });
    expect((await leaving.next()).value).toMatchObject({ index: 0 });
    await leaving.return(undefined);
    expect((await collect({ prompt: PROMPT, maxNewTokens: 1 })).at(-1)).toMatchObject({ reason: 'LENGTH' });
    expect(engine.enginePid).toBe(pid);
  });

  it.each<[string, object, string, string[]]>([
    ['no prompt', {}, 'INVALID_INPUT', ['prompt']],
    ['another kind of run', { runId: btoa('ModelRun:x') }, 'INVALID_INPUT', ['runId']],
    ['a prompt that is too long', { prompt: 'ada '.repeat(12) }, 'INVALID_INPUT', ['prompt']],
    ['an unknown concept', edited({ targetConcept: 'z' }), 'INVALID_INPUT', at('targetConcept')],
    ['a swap for itself', edited({ sourceConcept: 'b' }), 'INVALID_INPUT', at('targetConcept')],
    [
      'a range that ends before it begins',
      edited({ fromStep: 2, untilStep: 1 }),
      'INVALID_INPUT',
      at('untilStep'),
    ],
    [
      'too many edits',
      { interventions: Array(17).fill({ targetConcept: 'b' }) },
      'INVALID_INPUT',
      ['interventions'],
    ],
    [
      'an edit of a latent that does not exist',
      { ...edited({}), edits: [{ target: { latent: 99 }, action: 'SET' }] },
      'INVALID_INPUT',
      ['edits', '0', 'target', 'latent'],
    ],
    ['no SAE', { prompt: PROMPT, runId: undefined }, 'INVALID_INPUT', ['runId']],
    ['too many tokens', { maxNewTokens: 257 }, 'INVALID_INPUT', ['maxNewTokens']],
    ['a temperature of nothing', { temperature: 0 }, 'INVALID_INPUT', ['temperature']],
  ])('refuses %s', async (_what, input, code, path) => {
    const given = 'maxNewTokens' in input || 'interventions' in input || 'temperature' in input;
    const error = await collect({ ...(given ? { prompt: PROMPT } : {}), ...input }).then(
      () => null,
      (refusal: unknown) => [refusal].flat()[0] as { extensions: object },
    );
    expect(error?.extensions).toMatchObject({ code, path });
  });

  it('tells of a failure on the way by an error with its code, and completes', async () => {
    const token = { type: 'TOKEN', index: 0, text: 'x', probability: 1, slots: [1, 2, 3] } as const;
    async function* stream() {
      yield token;
      throw new AppError('UNAVAILABLE', 'the engine is gone');
    }
    const work = { engine: { ...engine, stream } as never, store };
    const failing = await startTestApi(database, {}, { work });
    const items = subscribe<Item>(failing, { input: { runId, prompt: PROMPT } }, GENERATION);
    expect((await items.next()).value).toMatchObject({ text: 'x', slots: [{}, {}, { activation: 3 }] });
    const error = await items.next().catch((refusal: unknown) => refusal);
    expect(error).toMatchObject({ message: 'the engine is gone', extensions: { code: 'UNAVAILABLE' } });
    await failing.stop();
  });
});

function edited(intervention: object) {
  return { interventions: [{ targetConcept: 'b', ...intervention }] };
}
function at(field: string) {
  return ['interventions', '0', field];
}
