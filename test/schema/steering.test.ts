/** Steering and activations of texts through the API, on stored SAEs and the real engine. */
import { afterAll, beforeAll, describe, expect, inject, it, vi } from 'vitest';
import { EngineCalls } from '../../src/jobs/calls.ts';
import { encodeGlobalId } from '../../src/schema/ids.ts';
import { tinySae } from '../engine/align/tinySae.ts';
import { silentLog } from '../helpers/log.ts';
import { storeTinyAlignment, type TinyAlignment } from '../helpers/tinyAlignment.ts';
import { type Api, type Data, openApi } from './api.ts';
import { contract } from './contract.ts';

const PROMPT = 'fay ada ada';
const SAE_OF = `query ($id: ID!) { run(id: $id) { ... on AlignmentRun { sae { id } } ... on BaselineRun { sae { id } } } }`;

let calls: EngineCalls;
let api: Api;
let stored: TinyAlignment;
/** Global ids. */
let runId: string;
let saeId: string;
let bareId: string;
let datasetId: string;

beforeAll(async () => {
  calls = new EngineCalls({ backend: 'auto', native: inject('native'), log: silentLog });
  api = await openApi({ engine: calls });
  const { store } = api.dependencies;
  stored = await storeTinyAlignment(api.database.db, store);
  runId = encodeGlobalId('AlignmentRun', stored.runId);
  datasetId = encodeGlobalId('Dataset', stored.datasetId);
  const baseline = await storeTinyAlignment(api.database.db, store, {
    ...{ kind: 'BASELINE', sae: tinySae(1, { slots: false }) },
  });
  const saeOf = async (id: string) => (await api.ask(SAE_OF, { id })).run.sae.id;
  saeId = await saeOf(runId);
  bareId = await saeOf(encodeGlobalId('BaselineRun', baseline.runId));
});
afterAll(async () => {
  await calls.stop();
  await api.close();
});

const KEPT = `
  fragment Kept on Steering {
    id sae { id } prompt maxNewTokens
    baseline { text tokens { text probability } }
    results { alpha continuation { text tokens { text probability } } }
    edits {
      action strength method keepsError relative target { ...Target } source { ...Target }
      place { positions tokens fromStep untilStep armed { latent { index concept { key } } above } }
    }
  }
  fragment Target on EditTarget {
    concept { key } latent { index concept { key } } difference { of { key } from { key } dataset { id } } vector
  }
`;
const STEER = contract('Steer');
const STEER_LONG = STEER.replace('$alphas: [Float!]', '$alphas: [Float!], $maxNewTokens: Int').replace(
  'alphas: $alphas',
  'alphas: $alphas, maxNewTokens: $maxNewTokens',
);
const steer = async (edits: object[], more: object = {}) =>
  (await api.ask(STEER, { saeId, prompt: PROMPT, edits, ...more })).steer;

describe('steering', () => {
  it('continues a prompt without edits, and with them at each alpha', async () => {
    const edits = [{ target: { concept: 'b' }, action: 'SET', strength: 3 }];
    const { baseline, results } = await steer(edits, { alphas: [0, 1, -2] });
    expect(results.map(({ alpha }: Data) => alpha)).toEqual([0, 1, -2]);
    for (const { text, tokens } of [baseline, ...results.map((result: Data) => result.continuation)]) {
      expect(tokens.map((token: Data) => token.text).join('')).toBe(text);
      for (const { probability } of tokens) expect(probability).toBeGreaterThan(0);
    }
    const [once] = (await steer(edits)).results;
    expect(once).toMatchObject({ alpha: 1, continuation: { text: results[1].continuation.text } });
    expect(results.some(({ continuation }: Data) => continuation.text !== baseline.text)).toBe(true);
  });

  it('takes concepts by key and id, latents, differences and vectors, and swaps as `swapConcept` does', async () => {
    const id = encodeGlobalId('Concept', stored.conceptIds[1]!);
    const texts = async (edit: object) =>
      (await steer([{ action: 'SET', strength: 5, ...edit }])).results[0].continuation.text;
    const slot = await texts({ target: { concept: 'b' } });
    expect(await texts({ target: { concept: id } })).toBe(slot);
    expect(await texts({ target: { latent: 5 } })).toBe(slot);
    const means = tinySae().conceptMeans;
    const vector = Array.from({ length: 8 }, (_, j) => means[8 + j]! - means[j]!);
    const added = { action: 'ADD', strength: 2 };
    const byVector = await texts({ target: { vector }, ...added });
    expect(await texts({ target: { difference: { of: 'b', from: 'a' } }, ...added })).toBe(byVector);
    const swap = { sourceConcept: 'c', targetConcept: 'b', alpha: 5, method: 'DECODER_PAIR' };
    const input = { runId, prompt: PROMPT, ...swap };
    const { swapConcept } = await api.ask(contract('SwapConcept'), { input });
    const place = { positions: 'LAST_TOKEN' };
    const edit = { target: { concept: 'b' }, source: { concept: 'c' }, method: 'DECODER_PAIR', place };
    expect(await texts({ ...edit, action: 'SWAP' })).toBe(swapConcept.intervention.result.text);
    expect(swapConcept.intervention.result.text).not.toBe(swapConcept.intervention.baseline.text);
  });

  it('measures a difference on another dataset, whose prompts travel once', async () => {
    const edits = (more: object) => [
      { target: { difference: { of: 'b', from: 'a', ...more } }, action: 'ADD', strength: 5 },
    ];
    const own = await steer(edits({}), { saeId: bareId });
    const call = vi.spyOn(calls, 'call');
    const foreign = await steer(edits({ datasetId }), { saeId: bareId });
    const again = await steer(edits({ datasetId }), { saeId: bareId });
    const methods = call.mock.calls.map(([method]) => method);
    call.mockRestore();
    expect(methods).toEqual([
      'conceptDifference',
      'conceptDifference',
      'steer',
      'conceptDifference',
      'steer',
    ]);
    expect(again).toEqual(foreign);
    expect(foreign.results).not.toEqual(own.results);
  });

  it('edits where it is told, and fires where it is armed', async () => {
    const edit = { target: { vector: [9, -9, 9, -9, 9, -9, 9, -9] }, action: 'ADD', strength: 3 };
    const at = async (place: object) => (await steer([{ ...edit, place }])).results[0].continuation.text;
    const all = await at({ positions: 'ALL' });
    expect(await at({})).toEqual(await at({ positions: 'ANSWER' }));
    const baseline = (await steer([edit])).baseline.text;
    const never = { latent: 5, above: 1e6 };
    expect(await at({ positions: 'ALL', armed: never })).toEqual(baseline);
    expect(await at({ positions: 'ALL', armed: { latent: 5, above: -1e6 } })).toEqual(all);
    const texts = [{ tokens: [0, 1, 2] }, { fromStep: 1, untilStep: 1 }, { positions: 'LAST_TOKEN' }];
    expect(new Set([all, baseline, ...(await Promise.all(texts.map(at)))]).size).toBeGreaterThan(3);
  });

  const SET = { target: { latent: 0 }, action: 'SET' };
  it.each<[string, object, string]>([
    ['a latent that does not exist', { target: { latent: 7 } }, 'target.latent'],
    ['an unknown concept', { target: { concept: 'z' } }, 'target.concept'],
    ['an infinite strength', { strength: 1e7 }, 'strength'],
    ['a direction of length 0', { target: { vector: Array(8).fill(0) } }, 'target.vector'],
    ['a direction of another width', { target: { vector: [1, 2] } }, 'target.vector'],
    ['a difference of nothing', { target: { difference: { of: 'a', from: 'a' } } }, 'target.difference.from'],
    [
      'an unknown concept of a difference',
      { target: { difference: { of: 'z', from: 'a' } } },
      'target.difference.of',
    ],
    [
      'an id that is none',
      { target: { difference: { of: 'a', from: 'b', datasetId: btoa('x') } } },
      'target.difference.datasetId',
    ],
    ['a source without a swap', { source: { latent: 1 } }, 'source'],
    ['a method without a swap', { method: 'LATENT_DECODE' }, 'method'],
    ['a length of what is set', { relative: true }, 'relative'],
    ['an error kept by what is added', { action: 'ADD', keepsError: true }, 'keepsError'],
    [
      'a swap with a direction by its latents',
      { action: 'SWAP', method: 'LATENT_DECODE', source: { vector: Array(8).fill(1) } },
      'method',
    ],
    ['a swap of a direction for nothing', { action: 'SWAP', target: { vector: Array(8).fill(1) } }, 'source'],
    ['a token beyond the prompt', { place: { tokens: [1, 3] } }, 'place.tokens.1'],
    ['tokens and positions', { place: { tokens: [1], positions: 'ALL' } }, 'place.positions'],
    ['steps of one token', { place: { positions: 'LAST_TOKEN', fromStep: 1 } }, 'place.fromStep'],
    ['steps that end before they begin', { place: { fromStep: 2, untilStep: 1 } }, 'place.untilStep'],
    ['no trigger', { place: { armed: { above: 1 } } }, 'place.armed'],
    ['two triggers', { place: { armed: { concept: 'a', latent: 1 } } }, 'place.armed'],
    ['a free trigger without a threshold', { place: { armed: { latent: 1 } } }, 'place.armed.above'],
    ['a trigger that does not exist', { place: { armed: { latent: 99, above: 1 } } }, 'place.armed.latent'],
  ])('refuses %s by its path', async (_what, given, path) => {
    const edits = [SET, { ...SET, ...given }];
    const { errors } = await api.answer(STEER, { saeId, prompt: PROMPT, edits });
    const extensions = { code: 'INVALID_INPUT', path: ['edits', '1', ...path.split('.')] };
    expect(errors![0]).toMatchObject({ extensions });
  });

  it('refuses two targets in one, what is no number, and slots of an SAE that has none', async () => {
    const two = [{ ...SET, target: { latent: 0, concept: 'a' } }];
    const { errors } = await api.answer(STEER, { saeId, prompt: PROMPT, edits: two });
    expect(errors![0]!.message).toMatch(/Exactly one key must be specified/);
    const infinite = STEER.replace(
      'edits: $edits',
      'edits: [{ target: { latent: 0 }, action: SET, strength: 1e999 }]',
    ).replace(', $edits: [EditInput!]!', '');
    const answer = await api.answer(infinite, { saeId, prompt: PROMPT });
    expect(answer.errors![0]!.message).toMatch(/strength must be a number.*got Infinity/);
    const bare = await api.answer(STEER, {
      saeId: bareId,
      prompt: PROMPT,
      edits: [{ ...SET, target: { concept: 'a' } }],
    });
    expect(bare.errors![0]).toMatchObject({ extensions: { path: ['edits', '0', 'target', 'concept'] } });
    const swap = await api.answer(STEER, {
      saeId: bareId,
      prompt: PROMPT,
      edits: [{ ...SET, action: 'SWAP' }],
    });
    expect(swap.errors![0]).toMatchObject({ extensions: { path: ['edits', '0', 'source'] } });
  });

  it.each<[string, object, string, string[]]>([
    ['no edits', { edits: [] }, 'INVALID_INPUT', ['edits']],
    ['too many edits', { edits: Array(17).fill(SET) }, 'INVALID_INPUT', ['edits']],
    ['no alphas', { alphas: [] }, 'INVALID_INPUT', ['alphas']],
    ['an alpha twice', { alphas: [1, 1] }, 'INVALID_INPUT', ['alphas']],
    ['too many alphas', { alphas: Array.from({ length: 33 }, (_, i) => i) }, 'INVALID_INPUT', ['alphas']],
    ['too large an alpha', { alphas: [1e4] }, 'INVALID_INPUT', ['alphas', '0']],
    ['too many tokens', { maxNewTokens: 257 }, 'INVALID_INPUT', ['maxNewTokens']],
    ['a prompt that is too long', { prompt: 'ada '.repeat(12) }, 'INVALID_INPUT', ['prompt']],
    ['another kind of id', { saeId: btoa('Run:x') }, 'INVALID_INPUT', ['saeId']],
    ['an SAE that is not there', { saeId: encodeGlobalId('Sae', crypto.randomUUID()) }, 'NOT_FOUND', []],
  ])('refuses %s', async (_what, given, code, path) => {
    const variables = { saeId, prompt: PROMPT, edits: [SET], ...given };
    const { errors } = await api.answer(STEER_LONG, variables);
    expect(errors![0]).toMatchObject({ extensions: path.length > 0 ? { code, path } : { code } });
  });

  it('keeps what it came to, with the edits as they were named', async () => {
    const APPLY = `mutation ($input: ApplyEditsInput!) { applyEdits(input: $input) {
      __typename ... on InputError { path message } ... on NotFoundError { message }
      ... on ApplyEditsSuccess { steering { ...Kept } }
    } } ${KEPT}`;
    const edits = [
      { target: { concept: 'b' }, action: 'SWAP', source: { latent: 6 }, strength: 2, place: { armed: {} } },
      { target: { difference: { of: 'b', from: 'a' } }, action: 'ADD', place: { tokens: [0, 2] } },
      {
        target: { vector: [1, 2, 3, 4, 5, 6, 7, 8] },
        action: 'ABLATE',
        strength: 0.5,
        place: { positions: 'ALL', untilStep: 3, armed: { latent: 1, above: 0.25 } },
      },
    ];
    const asked = { saeId, prompt: PROMPT, edits, alphas: [1, -1] };
    const { applyEdits } = await api.ask(APPLY, { input: { ...asked, maxNewTokens: 5 } });
    const { steering } = applyEdits;
    const queried = (await api.ask(STEER_LONG, { ...asked, maxNewTokens: 5 })).steer;
    expect(steering).toMatchObject({ sae: { id: saeId }, prompt: PROMPT, maxNewTokens: 5, ...queried });
    const none = { concept: null, latent: null, difference: null, vector: null };
    const difference = { of: { key: 'b' }, from: { key: 'a' }, dataset: { id: datasetId } };
    const everywhere = { positions: 'ANSWER', tokens: null, fromStep: null, untilStep: null, armed: null };
    expect(steering.edits).toEqual([
      {
        ...{ action: 'SWAP', strength: 2, method: 'LATENT_DECODE', keepsError: true, relative: false },
        target: { ...none, concept: { key: 'b' }, latent: { index: 5, concept: { key: 'b' } } },
        source: { ...none, latent: { index: 6, concept: { key: 'c' } } },
        place: { ...everywhere, armed: { latent: null, above: 0.5 } },
      },
      {
        ...{ action: 'ADD', strength: 1, method: null, keepsError: true, relative: false },
        ...{ target: { ...none, difference }, source: null },
        place: { ...everywhere, positions: null, tokens: [0, 2] },
      },
      {
        ...{ action: 'ABLATE', strength: 0.5, method: null, keepsError: true, relative: false },
        ...{ target: { ...none, vector: [1, 2, 3, 4, 5, 6, 7, 8] }, source: null },
        place: {
          ...everywhere,
          positions: 'ALL',
          untilStep: 3,
          armed: { latent: { index: 1, concept: null }, above: 0.25 },
        },
      },
    ]);
    const LIST = `query ($saeId: ID) { steerings(filter: { saeId: $saeId }) { totalCount edges { node { ...Kept } } } } ${KEPT}`;
    const { steerings } = await api.ask(LIST, { saeId });
    expect(steerings).toEqual({ totalCount: 1, edges: [{ node: steering }] });
    expect((await api.ask(LIST, { saeId: bareId })).steerings.totalCount).toBe(0);
    const { node } = await api.ask(`query ($id: ID!) { node(id: $id) { ...Kept } } ${KEPT}`, {
      id: steering.id,
    });
    expect(node).toEqual(steering);
    const refused = await api.ask(APPLY, { input: { ...asked, edits: [{ ...SET, target: { latent: 7 } }] } });
    expect(refused.applyEdits).toMatchObject({
      __typename: 'InputError',
      path: ['edits', '0', 'target', 'latent'],
    });
    const missing = { ...asked, saeId: encodeGlobalId('Sae', crypto.randomUUID()) };
    expect((await api.ask(APPLY, { input: missing })).applyEdits.__typename).toBe('NotFoundError');
    expect((await api.ask(LIST, {})).steerings.totalCount).toBe(1);
  });

  it('names the first token of a prompt that leaves no room for an answer', async () => {
    const { errors } = await api.answer(STEER, { saeId, prompt: `${'ada '.repeat(11)}Bo`, edits: [SET] });
    expect(errors![0]!.message).toMatch(
      /1 to 11 tokens, got 12; token 11, counted from 0, " Bo" at character 43/,
    );
  });

  it('needs the scope RUN', async () => {
    const { errors } = await api.answer(STEER, { saeId, prompt: PROMPT, edits: [SET] }, ['READ']);
    expect(errors![0]).toMatchObject({ extensions: { code: 'FORBIDDEN' } });
  });
});

describe('activations of a text', () => {
  const ACTIVATIONS = contract('Activations');

  it('are the strongest latents at every token, which joined are the text', async () => {
    const text = ' Fay ada\nbo';
    const { tokens } = (await api.ask(ACTIVATIONS, { saeId, text })).activations;
    expect(tokens.map((token: Data) => token.text)).toEqual([' Fay', ' ada', '\nbo']);
    for (const { latents } of tokens) {
      expect(latents.length).toBeGreaterThan(0);
      expect(latents.length).toBeLessThanOrEqual(5);
      const values = latents.map(({ activation }: Data) => activation);
      expect(values).toEqual([...values].sort((a, b) => b - a));
      for (const { latent } of latents) {
        const key = ['a', 'b', 'c'][latent.index - 4];
        expect(latent.concept).toEqual(key === undefined ? null : { key });
      }
    }
    expect(tokens.some(({ latents }: Data) => latents.some(({ latent }: Data) => latent.concept))).toBe(true);
    const bare = (await api.ask(ACTIVATIONS, { saeId: bareId, text })).activations;
    expect(bare.tokens[0].latents.every(({ latent }: Data) => latent.concept === null)).toBe(true);
  });

  it.each([
    [
      'longer than the context',
      'ada '.repeat(13).trim(),
      /has 13: token 12, counted from 0, " ada" at character 47/,
    ],
    ['empty', '', /text/],
    ['beyond any length', 'a'.repeat(10_001), /10,000/],
  ])('are refused of a text that is %s', async (_what, text, message) => {
    const { errors } = await api.answer(ACTIVATIONS, { saeId, text });
    expect(errors![0]).toMatchObject({ extensions: { code: 'INVALID_INPUT', path: ['text'] } });
    expect(errors![0]!.message).toMatch(message);
  });

  it('are bounded in how many are told', async () => {
    const ASK = ACTIVATIONS.replace('first: 5', 'first: 51');
    const { errors } = await api.answer(ASK, { saeId, text: 'ada' });
    expect(errors![0]).toMatchObject({ extensions: { code: 'INVALID_INPUT', path: ['first'] } });
  });
});
