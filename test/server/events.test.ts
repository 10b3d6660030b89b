import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Database } from '../../src/db/client.ts';
import { appendMetrics, type Claim } from '../../src/db/queries/events.ts';
import { finishRun } from '../../src/db/queries/runs.ts';
import { createTestDatabase } from '../helpers/database.ts';
import { insertRunningRun } from '../helpers/fixtures.ts';
import { contract } from '../schema/contract.ts';
import {
  modelRunId,
  overSse,
  overWebSocket,
  post,
  RUN_EVENTS,
  type RunEventItem,
  startTestApi,
  type TestApi,
  wsClient,
} from './edge.ts';

let database: Database;
let apis: TestApi[];
let run: { id: string; claim: Claim };

beforeAll(async () => {
  database = await createTestDatabase();
});
beforeEach(async () => {
  apis = [await startTestApi(database), await startTestApi(database)];
  run = await insertRunningRun(database.db);
});
afterEach(async () => {
  await Promise.all(apis.map((api) => api.stop()));
});
afterAll(() => database.close());

const log = (...steps: number[]) =>
  appendMetrics(
    database.db,
    run.claim,
    steps.map((step) => ({ step, at: Date.now(), values: { loss: 1 / step } })),
  );
const steps = (items: RunEventItem[]) => items.flatMap(({ event }) => event.step ?? []);
const collect = async (events: AsyncGenerator<RunEventItem>) => {
  const items: RunEventItem[] = [];
  for await (const item of events) items.push(item);
  return items;
};
/** Takes events until `step`, then leaves, as a client that loses its connection. */
const takeUntil = async (events: AsyncGenerator<RunEventItem>, step: number) => {
  const items: RunEventItem[] = [];
  for await (const item of events) {
    items.push(item);
    if (item.event.step === step) break;
  }
  return items;
};

describe.each([
  ['graphql-ws', overWebSocket],
  ['SSE', overSse],
])('run events over %s', (_name, subscribe) => {
  it('delivers what was and what comes, and completes with the run', async () => {
    await log(1, 2);
    const all = collect(subscribe(apis[0]!, { id: modelRunId(run.id) }));
    await log(3);
    await finishRun(database.db, run.claim, {});
    const items = await all;
    expect(steps(items)).toEqual([1, 2, 3]);
    expect(items.at(-1)!.event).toEqual({ __typename: 'RunStatusChanged', status: 'SUCCEEDED' });
  });

  it('resumes by cursor on another replica, missing and repeating nothing', async () => {
    const watching = takeUntil(subscribe(apis[0]!, { id: modelRunId(run.id) }), 2);
    await log(1);
    await log(2);
    const before = await watching;
    await log(3);
    const after = collect(subscribe(apis[1]!, { id: modelRunId(run.id), after: before.at(-1)!.cursor }));
    await log(4);
    await finishRun(database.db, run.claim, {});
    expect(steps([...before, ...(await after)])).toEqual([1, 2, 3, 4]);
  });

  it('tells what changes in all runs, and goes on on another replica', async () => {
    const { body } = await post(apis[0]!, '{ runs(first: 0) { changesCursor } }');
    const follow = (api: TestApi, after: string) =>
      subscribe<{ cursor: string; run: { mainMetric: { step: number } } }>(
        api,
        { after },
        contract('RunsChanged'),
      );
    await log(1);
    const before = follow(apis[0]!, body.data.runs.changesCursor);
    const first = (await before.next()).value;
    expect(first.run.mainMetric.step).toBe(1);
    await before.return(undefined);
    await log(2);
    const after = follow(apis[1]!, first.cursor);
    expect((await after.next()).value.run.mainMetric.step).toBe(2);
    const live = after.next();
    await log(3);
    expect((await live).value.run.mainMetric.step).toBe(3);
    await after.return(undefined);
  });
});

describe('subscribers', () => {
  it('on two replicas see the same', async () => {
    const both = apis.map((api) => collect(overWebSocket(api, { id: modelRunId(run.id) })));
    await log(1, 2, 3);
    await finishRun(database.db, run.claim, {});
    const [left, right] = await Promise.all(both);
    expect(steps(left!)).toEqual([1, 2, 3]);
    expect(right).toEqual(left);
  });

  it('learn of a bad id or cursor', async () => {
    await expect(
      collect(overWebSocket(apis[0]!, { id: modelRunId(crypto.randomUUID()) })),
    ).rejects.toMatchObject({
      message: expect.stringContaining('does not exist'),
    });
    await expect(
      collect(overWebSocket(apis[0]!, { id: modelRunId(run.id), after: 'nonsense' })),
    ).rejects.toMatchObject({
      message: expect.stringContaining('not a cursor'),
    });
  });

  it('are limited in number, each client for itself, and free their place when they leave', async () => {
    const api = await startTestApi(database, { MAX_SUBSCRIPTIONS: '1' });
    const variables = { id: modelRunId(run.id) };
    const first = overWebSocket(api, variables);
    await first.next();
    await expect(overWebSocket(api, variables).next()).rejects.toMatchObject({
      message: expect.stringContaining('MAX_SUBSCRIPTIONS'),
    });
    await first.return(undefined);
    // The socket's close reaches the server a moment later; a refusal then is not what is tested.
    const retry = async (): Promise<IteratorResult<RunEventItem>> => {
      try {
        return await overWebSocket(api, variables).next();
      } catch {
        return retry();
      }
    };
    expect((await retry()).value.event.__typename).toBe('RunStatusChanged');
    await api.stop();
  });

  it('are told to come back when the server shuts down', async () => {
    await log(1);
    const client = wsClient(apis[0]!);
    const closed = new Promise<number>((resolve) =>
      client.on('closed', (event) => resolve((event as CloseEvent).code)),
    );
    const query = { query: RUN_EVENTS, variables: { id: modelRunId(run.id) } };
    const seen = new Promise((resolve) =>
      client.subscribe(query, { next: resolve, error: () => {}, complete: () => {} }),
    );
    const sse = overSse(apis[0]!, { id: modelRunId(run.id) });
    await Promise.all([seen, sse.next()]);
    await apis[0]!.stop();
    expect(await closed).toBe(1001);
    await expect(takeUntil(sse, 99)).rejects.toThrow();
    await expect(post(apis[0]!, '{ __typename }')).rejects.toThrow('fetch failed');
    apis.shift();
  });
});
