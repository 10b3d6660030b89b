import { createClient } from 'graphql-ws';
import { afterEach, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { connect, FollowError, follow } from '../../src/client/index.ts';
import { ITEMS, type Numbered, refusal, type Source, startSource, type Turn } from './source.ts';

let source: Source;
afterEach(() => source?.close());

const numbers = async (items: AsyncIterable<Numbered>) => {
  const all: number[] = [];
  for await (const { items: item } of items) all.push(item.number);
  return all;
};
const below = (count: number) => Array.from({ length: count }, (_, index) => index);
const cut: Turn = (socket) => void socket.terminate();
const close =
  (code: number): Turn =>
  (socket) =>
    void socket.close(code);
const refuse = (code: string) => () => refusal(code);

describe('a subscription that is followed', () => {
  it('gives each item once and misses none, whatever breaks the stream', async () => {
    source = await startSource(60, {
      ...{ 0: cut, 1: cut, 20: close(1000), 30: close(1001), 40: close(1013), 50: refuse('UNAVAILABLE') },
      59: refuse('LIMIT_EXCEEDED'),
    });
    expect(await numbers(follow<Numbered>(source.url, { query: ITEMS }))).toEqual(below(60));
    expect(source.begins).toEqual([0, 0, 1, 20, 30, 40, 50, 59]);
  });

  it('begins behind the cursor that it is given', async () => {
    source = await startSource(9);
    const variables = { after: '5' };
    expect(await numbers(follow<Numbered>(source.url, { query: ITEMS, variables }))).toEqual([6, 7, 8]);
    expect(variables).toEqual({ after: '5' });
  });

  it('shares a socket with others, and goes on by itself on each', async () => {
    source = await startSource(30, { 10: cut });
    const client = connect(source.url);
    const both = [0, 1].map(() => numbers(follow<Numbered>(client, { query: ITEMS })));
    expect(await Promise.all(both)).toEqual([below(30), below(30)]);
    await client.dispose();
  });

  it('goes on behind its cursor also where a client of graphql-ws tries again by itself', async () => {
    source = await startSource(30, { 10: cut, 20: cut });
    const client = createClient({
      ...{ url: source.url.replace('http', 'ws'), webSocketImpl: WebSocket },
      retryWait: async () => undefined,
    });
    expect(await numbers(follow<Numbered>(client, { query: ITEMS }))).toEqual(below(30));
    await client.dispose();
  });

  it('holds no more than it must for a reader who is slow', async () => {
    source = await startSource(12_000);
    const items = follow<Numbered>(source.url, { query: ITEMS });
    await items.next();
    while (source.left === 0) await new Promise(setImmediate);
    expect(await numbers(items)).toEqual(below(12_000).slice(1));
    expect(source.begins).toHaveLength(2);
  });

  it('ends in order when its signal is aborted, and when its reader leaves', async () => {
    source = await startSource(3, { 2: () => undefined });
    const leaving = new AbortController();
    const client = connect(source.url);
    const silent = follow<Numbered>(client, {
      query: 'subscription ($after: String) { items(after: $after) { cursor number } }',
      ...{ variables: { after: '0' }, signal: leaving.signal },
    });
    expect(await silent.next()).toMatchObject({ value: { items: { number: 1 } } });
    leaving.abort();
    expect(await silent.next()).toEqual({ done: true, value: undefined });
    for await (const { items } of follow<Numbered>(client, { query: ITEMS })) if (items.number === 0) break;
    await client.dispose();
  });
});

describe('what cannot be followed', () => {
  const failure = async (following: Parameters<typeof follow>[1], url = source.url) =>
    numbers(follow<Numbered>(url, following)).catch((error: FollowError) => error);

  it.each([
    ['NOT_FOUND', 0],
    ['FORBIDDEN', 1],
    ['LIMIT_EXCEEDED', 0],
  ])('is told with the server’s words: %s', async (code, at) => {
    source = await startSource(9, { [at]: refuse(code) });
    expect(await failure({ query: ITEMS })).toMatchObject({ code, message: `because of ${code}` });
  });

  it.each([
    [4401, 'UNAUTHENTICATED'],
    [4400, 'REFUSED'],
  ])('is not tried again after the close %d', async (code, expected) => {
    source = await startSource(9, { 3: close(code) });
    expect(await failure({ query: ITEMS })).toMatchObject({ code: expected });
    expect(source.begins).toEqual([0]);
  });

  it('is a server that stays away', async () => {
    source = await startSource(1);
    await source.close();
    const error = await failure({ query: ITEMS, patienceMs: 100 });
    expect(error).toBeInstanceOf(FollowError);
    expect(error).toMatchObject({ code: 'OFFLINE', message: expect.stringContaining('ECONNREFUSED') });
    source = await startSource(1);
  });

  it('is a subscription without a place to go on from', async () => {
    source = await startSource(2);
    const query = 'subscription ($after: String) { items(after: $after) { number } }';
    expect(await failure({ query })).toMatchObject({ message: expect.stringContaining('Select `cursor`') });
    expect(() => follow(source.url, { query: 'subscription { items { cursor } }' })).toThrow(
      /`\$after: String`/,
    );
  });

  it('is one that the server does not understand', async () => {
    source = await startSource(2);
    const query = 'subscription ($after: String) { nothing(after: $after) { cursor } }';
    expect(await failure({ query })).toMatchObject({ message: expect.stringContaining('nothing') });
  });
});
