/** Prompts as messages of a chat through the API, on a stored SAE and the real engine. */
import { eq } from 'drizzle-orm';
import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import { models } from '../../src/db/tables/index.ts';
import { EngineCalls } from '../../src/jobs/calls.ts';
import { encodeGlobalId } from '../../src/schema/ids.ts';
import { startGeneration } from '../../src/services/generation.ts';
import { silentLog } from '../helpers/log.ts';
import { storeTinyAlignment, type TinyAlignment } from '../helpers/tinyAlignment.ts';
import { type Api, type Data, openApi } from './api.ts';
import { contract } from './contract.ts';

const TEMPLATE = "{% for m in messages %}{{ 'ada ' + m.content + ' bo ' }}{% endfor %}";
const STEER = /* GraphQL */ `
  query ($saeId: ID!, $prompt: String!, $chat: Boolean) {
    steer(saeId: $saeId, prompt: $prompt, chat: $chat, alphas: [1], edits: [{ target: { latent: 0 }, action: ADD, strength: 2 }]) {
      baseline { text tokens { text probability } }
      results { continuation { text } }
    }
  }
`;
const ACTIVATIONS = /* GraphQL */ `
  query ($saeId: ID!, $text: String!, $chat: Boolean) {
    activations(saeId: $saeId, text: $text, chat: $chat) { tokens { text latents { activation } } }
  }
`;
const APPLY = /* GraphQL */ `
  mutation ($input: ApplyEditsInput!) {
    applyEdits(input: $input) {
      ... on ApplyEditsSuccess { steering { prompt chat baseline { text } } }
      ... on InputError { path message }
    }
  }
`;

let calls: EngineCalls;
let api: Api;
let stored: TinyAlignment;
let saeId: string;
/** The same with a model that has a template. */
let chatSaeId: string;

beforeAll(async () => {
  calls = new EngineCalls({ backend: 'auto', native: inject('native'), log: silentLog });
  api = await openApi({ engine: calls });
  const { store } = api.dependencies;
  const saeOf = async ({ runId }: TinyAlignment) =>
    (
      await api.ask(
        `{ run(id: "${encodeGlobalId('AlignmentRun', runId)}") { ... on AlignmentRun { sae { id } } } }`,
      )
    ).run.sae.id as string;
  saeId = await saeOf(await storeTinyAlignment(api.database.db, store));
  stored = await storeTinyAlignment(api.database.db, store);
  chatSaeId = await saeOf(stored);
  const [model] = await api.database.db.select().from(models).where(eq(models.id, stored.modelId));
  const tokenizer = { ...(model!.tokenizer as object), chat: { template: TEMPLATE, tokens: {} } };
  await api.database.db.update(models).set({ tokenizer }).where(eq(models.id, stored.modelId));
});
afterAll(async () => {
  await calls.stop();
  await api.close();
});

it('says which models have a template', async () => {
  const ask = async (id: string) =>
    (await api.ask(`{ node(id: "${id}") { ... on Sae { model { hasChatTemplate } } } }`)).node.model
      .hasChatTemplate;
  expect(await ask(chatSaeId)).toBe(true);
  expect(await ask(saeId)).toBe(false);
});

it('steers a message as the template spells it', async () => {
  const chat = await api.ask(STEER, { saeId: chatSaeId, prompt: 'fay guy', chat: true });
  const spelt = await api.ask(STEER, { saeId: chatSaeId, prompt: 'ada fay guy bo' });
  const bare = await api.ask(STEER, { saeId: chatSaeId, prompt: 'fay guy', chat: false });
  expect(chat).toEqual(spelt);
  expect(chat).not.toEqual(bare);
});

it('keeps with what is stored that it was a message', async () => {
  const edits = [{ target: { latent: 0 }, action: 'ADD', strength: 2 }];
  const input = { saeId: chatSaeId, prompt: 'fay guy', chat: true, edits };
  const { applyEdits } = await api.ask(APPLY, { input });
  expect(applyEdits.steering).toMatchObject({ prompt: 'fay guy', chat: true });
  const { applyEdits: plain } = await api.ask(APPLY, { input: { ...input, chat: undefined } });
  expect(plain.steering.chat).toBe(false);
});

it('tells activations at all tokens that the template makes of a text', async () => {
  const ask = async (given: object) =>
    (await api.ask(ACTIVATIONS, { saeId: chatSaeId, ...given })).activations;
  const { tokens } = await ask({ text: 'fay guy', chat: true });
  expect(tokens.map(({ text }: Data) => text).join('')).toBe('ada fay guy bo ');
  expect(tokens).toEqual((await ask({ text: 'ada fay guy bo ' })).tokens);
});

it('generates an answer to a message', async () => {
  const work = { ...api.dependencies, db: api.database.db, engine: calls };
  const generate = async (given: object) => {
    const events = [];
    for await (const event of await startGeneration(work, { runId: stored.runId, maxNewTokens: 4, ...given }))
      events.push(event);
    return events;
  };
  expect(await generate({ prompt: 'fay guy', chat: true })).toEqual(
    await generate({ prompt: 'ada fay guy bo' }),
  );
});

it.each([
  ['steer', STEER, { prompt: 'fay guy' }],
  ['activations', ACTIVATIONS, { text: 'fay guy' }],
])('refuses a chat with a model without a template: %s', async (_what, query, given) => {
  const { errors } = await api.answer(query, { saeId, ...given, chat: true });
  expect(errors![0]).toMatchObject({
    message: expect.stringContaining('no chat template'),
    extensions: { code: 'INVALID_INPUT', path: ['chat'] },
  });
});

it('keeps a dataset of messages, and starts no run on it with a model without a template', async () => {
  const lines = [
    { type: 'ontology', slug: 'chats' },
    { type: 'concept', key: 'a' },
    { type: 'prompt', prompt: 'fay', answer: 'eve', concept: 'a', split: 'TRAIN' },
  ];
  const content = lines.map((line) => JSON.stringify(line)).join('\n');
  const { dataset } = (await api.ask(contract('ImportDataset'), { input: { content, chat: true } }))
    .importDataset;
  const plain = (await api.ask(contract('ImportDataset'), { input: { content } })).importDataset.dataset;
  const hash = async (id: string) =>
    (await api.ask(`{ node(id: "${id}") { ... on Dataset { chat contentHash } } }`)).node;
  expect(await hash(dataset.id)).toMatchObject({ chat: true });
  expect((await hash(plain.id)).contentHash).not.toBe((await hash(dataset.id)).contentHash);
  const start = `mutation ($input: StartModelRunInput!) { startModelRun(input: $input) { ... on InputError { path message } } }`;
  const { startModelRun } = await api.ask(start, { input: { datasetId: dataset.id } });
  expect(startModelRun).toMatchObject({
    path: ['datasetId'],
    message: expect.stringContaining('chat template'),
  });
});
