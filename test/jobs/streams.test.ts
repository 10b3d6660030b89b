/** Streams of the engine, on a real engine process and a model that ends only at the length asked for. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, test, vi } from 'vitest';
import { type SteeringEdit, swapEdit } from '../../src/engine/contract/edits.ts';
import type { GenerationCall, GenerationItem } from '../../src/engine/contract/generation.ts';
import type { ChildMessage } from '../../src/engine/contract/protocol.ts';
import type { SwapCall } from '../../src/engine/contract/swap.ts';
import { EngineCalls } from '../../src/jobs/calls.ts';
import { forkEngine } from '../../src/jobs/host.ts';
import { silentLog } from '../helpers/log.ts';
import { writeTinyPair } from '../helpers/tinyAlignment.ts';

/** Types of the messages to engines. */
const sent = vi.hoisted(() => [] as string[]);
vi.mock('../../src/jobs/host.ts', async (original) => {
  const host = await original<typeof import('../../src/jobs/host.ts')>();
  const forkEngine: typeof host.forkEngine = (engineOptions) => {
    const engine = host.forkEngine(engineOptions);
    const send: typeof engine.send = (message) => {
      sent.push(message.type);
      engine.send(message);
    };
    return { ...engine, send };
  };
  return { ...host, forkEngine };
});

const options = { backend: 'auto', native: inject('native'), log: silentLog } as const;
let dir: string;
let calls: EngineCalls;
let generation: GenerationCall;
let swap: SwapCall;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'alignsae-streams-'));
  const { model, sae } = await writeTinyPair(dir);
  const given = { model, sae: sae.path, prompt: 'fay ada ada', maxNewTokens: 6 };
  generation = { ...given, sampling: null, edits: [] };
  swap = { ...given, source: 0, target: 1, method: 'LATENT_DECODE', alpha: 1, placement: 'LAST_TOKEN' };
  calls = new EngineCalls(options);
});
afterAll(async () => {
  await calls.stop();
  await rm(dir, { recursive: true });
});

/** With this the tiny model does not end its text. */
const ENDLESS: SteeringEdit = swapEdit({
  ...{ source: 0, target: 1, method: 'LATENT_DECODE', alpha: 4 },
  ...{ fromStep: 0, untilStep: null, armed: false },
});

const collect = async (items: AsyncIterable<GenerationItem>) => {
  const all: GenerationItem[] = [];
  for await (const item of items) all.push(item);
  return all;
};

describe('a stream', () => {
  test('tells its items in order and ends, in turn with calls', async () => {
    const [first, answer, second] = await Promise.all([
      collect(calls.stream('generate', generation)),
      calls.call('swap', swap),
      collect(calls.stream('generate', generation)),
    ]);
    expect(first.map(({ type }) => type)).toEqual([...Array(first.length - 1).fill('TOKEN'), 'FINISHED']);
    expect(first.length).toBeGreaterThan(3);
    expect(first.at(-1)).toMatchObject({ text: answer.baseline.text });
    expect(second).toEqual(first);
  });

  test('that is left ends at once, and the queue goes on', async () => {
    const pid = calls.enginePid;
    sent.length = 0;
    const items = calls.stream('generate', generation);
    expect(await items.next()).toMatchObject({ value: { type: 'TOKEN', index: 0 } });
    const waiting = items.next();
    const queued = calls.stream('generate', generation);
    const answer = calls.call('swap', swap);
    expect(await items.return!()).toEqual({ done: true, value: undefined });
    expect(await queued.return!()).toEqual({ done: true, value: undefined });
    expect((await queued.next()).done).toBe(true);
    expect((await waiting).value?.index ?? 1).toBe(1); // a token that was on its way, or the end
    expect((await items.next()).done).toBe(true);
    expect(await answer).toMatchObject({ source: 0 });
    expect(sent).toEqual(['stream', 'cancel', 'call']); // what only waited was never sent
    expect(calls.enginePid).toBe(pid);
  });

  test('throws what the engine refuses', async () => {
    const refused = calls.stream('generate', { ...generation, prompt: '' });
    await expect(refused.next()).rejects.toMatchObject({ code: 'INVALID_INPUT', path: ['prompt'] });
    expect((await refused.next()).done).toBe(true);
  });

  test('breaks off when the engine crashes; the next has a new one', async () => {
    const items = collect(calls.stream('generate', generation));
    process.kill(calls.enginePid!, 'SIGKILL');
    await expect(items).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect((await collect(calls.stream('generate', generation))).at(-1)).toMatchObject({ type: 'FINISHED' });
  });
});

test('the engine ends a cancelled stream at its next item, and one that waits before its first', async () => {
  const engine = forkEngine(options);
  await engine.ready;
  const heard: ChildMessage[] = [];
  const bothEnded = new Promise<void>((resolve) => {
    engine.onMessage((message) => {
      heard.push(message);
      if (message.type === 'item' && message.id === 1) engine.send({ type: 'cancel', id: 1 });
      if (message.type === 'ended' && message.id === 2) resolve();
    });
  });
  const long = { ...generation, prompt: 'fay', maxNewTokens: 11, edits: [ENDLESS] };
  for (const id of [1, 2]) engine.send({ type: 'stream', id, stream: { method: 'generate', params: long } });
  engine.send({ type: 'cancel', id: 2 });
  await bothEnded;
  await engine.kill();
  const items = heard.filter((message) => message.type === 'item');
  expect(items.length).toBeLessThan(11);
  expect(items.every(({ item }) => item.item.type === 'TOKEN')).toBe(true);
  expect(heard.slice(items.length)).toEqual([
    { type: 'ended', id: 1 },
    { type: 'ended', id: 2 },
  ]);
});

test('a stream that is silent too long ends with its engine; others are refused when it stops or is full', async () => {
  const hurried = new EngineCalls({ ...options, callTimeoutMs: 1, maxWaiting: 1 });
  const late = hurried.stream('generate', generation).next();
  const waiting = hurried.stream('generate', generation).next();
  const full = hurried.stream('generate', generation).next();
  await expect(full).rejects.toMatchObject({ code: 'UNAVAILABLE', message: /1 engine calls are waiting/ });
  await expect(late).rejects.toMatchObject({ code: 'UNAVAILABLE', message: /longer than 1 ms/ });
  const stopped = expect(waiting).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  await hurried.stop();
  await stopped;
  await expect(hurried.stream('generate', generation).next()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
});

test('what the engine may not hold is refused with both numbers, before it is loaded', async () => {
  const small = new EngineCalls({ ...options, memoryBytes: 1000 });
  await expect(small.call('swap', swap)).rejects.toMatchObject({
    code: 'LIMIT_EXCEEDED',
    message: expect.stringMatching(/need \d{4,} bytes; the engine may hold 1000 \(ENGINE_MEMORY\)/),
  });
  await small.stop();
});

test('a call that comes while an idle engine is let go is answered by the next', async () => {
  const brief = new EngineCalls({ ...options, idleMs: 0 });
  const first = await brief.call('swap', swap);
  // The timer of the idle engine was set before this one, and its process takes longer to end.
  await new Promise((resolve) => setTimeout(resolve, 2));
  expect(await brief.call('swap', swap)).toEqual(first);
  await brief.stop();
});
