import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Database } from '../../src/db/client.ts';
import { createTestDatabase } from '../helpers/database.ts';
import { overSse, overWebSocket, post, type RunEventItem } from '../server/edge.ts';
import { groupGone, type ServerProcess, spawnServer, startServer, stopServer } from './serverProcess.ts';

/** Whole servers start here, several times each; the bound is for a busy machine. */
const PATIENCE_MS = 180_000;

let dir: string;
let database: Database;
const servers: ServerProcess[] = [];

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'alignsae-e2e-'));
  database = await createTestDatabase();
});
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => stopServer(server)));
});
afterAll(async () => {
  await database.close();
  await rm(dir, { recursive: true, force: true });
});

const start = async (env: Record<string, string>) => {
  const server = await startServer({ DATA_DIR: join(dir, 'data'), ...env });
  servers.push(server);
  return server;
};
const shared = () => ({ DATABASE_URL: database.connectionString, CHECKPOINT_INTERVAL: '500ms' });

const TINY = { nLayers: 2, nHeads: 2, dModel: 16, steps: 150, batchSize: 8, warmupSteps: 5, logEvery: 1 };

async function startRun(api: { endpoint: string }): Promise<string> {
  const generate = `mutation { generateDataset(input: { people: 5 }) { ... on GenerateDatasetSuccess { dataset { id } } } }`;
  const { body } = await post(api, generate);
  const startModel = `mutation ($input: StartModelRunInput!) { startModelRun(input: $input) { ... on StartRunSuccess { run { id } } ... on Error { message } } }`;
  const input = { datasetId: body.data.generateDataset.dataset.id, settings: TINY };
  const started = await post(api, startModel, { input });
  return started.body.data.startModelRun.run.id;
}

const steps = (items: RunEventItem[]) => items.flatMap(({ event }) => event.step ?? []);
async function collect(events: AsyncIterable<RunEventItem>): Promise<RunEventItem[]> {
  const items: RunEventItem[] = [];
  for await (const item of events) items.push(item);
  return items;
}
const LOGGED = Array.from({ length: TINY.steps }, (_, i) => i + 1);

describe('boot', () => {
  it('refuses a public host without a key, naming the variable, and leaves nothing behind', async () => {
    const server = spawnServer({ ...shared(), ROLE: 'api', HOST: '0.0.0.0', DATA_DIR: dir });
    expect(await server.exited).toBe(1);
    expect(server.lines.join('\n')).toMatch(/HOST: got .*0\.0\.0\.0.*ADMIN_API_KEY/);
    await groupGone(server);
  });

  it('refuses a variable it cannot read before it opens anything', async () => {
    const server = spawnServer({ ...shared(), PORT: 'http' });
    expect(await server.exited).toBe(1);
    expect(server.lines).toEqual(['PORT: got "http"; it accepts a whole number from 0 to 65535']);
  });

  it('serves a public host to holders of the key it was given', async () => {
    const key = 'k'.repeat(40);
    const server = await start({ ...shared(), ROLE: 'api', HOST: '0.0.0.0', ADMIN_API_KEY: key });
    const api = { endpoint: server.endpoint.replace('0.0.0.0', '127.0.0.1') };
    expect((await post(api, '{ __typename }')).status).toBe(401);
    const { body } = await post(api, '{ apiKeys { scopes } }', {}, { authorization: `Bearer ${key}` });
    expect(body.data.apiKeys).toEqual([{ scopes: ['READ', 'RUN', 'ADMIN'] }]);
  });
});

describe('two APIs and a worker on one Postgres', () => {
  it(
    'share the work; a subscriber on each sees every step once, in order',
    async () => {
      const [left, right] = await Promise.all([
        start({ ...shared(), ROLE: 'api' }),
        start({ ...shared(), ROLE: 'api' }),
      ]);
      const id = await startRun(left);
      const watching = [collect(overWebSocket(left, { id })), collect(overSse(right, { id }))];
      await start({ ...shared(), ROLE: 'worker' });
      for (const items of await Promise.all(watching)) {
        expect(steps(items)).toEqual(LOGGED);
        expect(items.at(-1)!.event.status).toBe('SUCCEEDED');
      }
    },
    PATIENCE_MS,
  );
});

describe('the whole server with its own Postgres', () => {
  it(
    'is killed in the middle of a run, comes back, and delivers each step once',
    async () => {
      const env = { DATA_DIR: join(dir, 'own'), CHECKPOINT_INTERVAL: '500ms' };
      const first = await start(env);
      const id = await startRun(first);
      const before: RunEventItem[] = [];
      for await (const item of overWebSocket(first, { id })) {
        before.push(item);
        if ((item.event.step ?? 0) >= 60) break;
      }
      process.kill(first.child.pid!, 'SIGKILL');
      await first.exited;
      await groupGone(first);
      const second = await start(env);
      const after = await collect(overWebSocket(second, { id, after: before.at(-1)!.cursor }));
      expect(steps([...before, ...after])).toEqual(LOGGED);
      expect(after.at(-1)!.event.status).toBe('SUCCEEDED');
      expect(await stopServer(second)).toBe(0);
      await groupGone(second);
      expect(existsSync(join(dir, 'own', 'postgres', 'cluster', 'postmaster.pid'))).toBe(false);
    },
    PATIENCE_MS,
  );
});
