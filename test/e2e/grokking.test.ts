import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { TINY_TWO_HOPS, TWO_HOP_ITEMS, TWO_HOP_RELATIONS } from '../helpers/twoHops.ts';
import { contract } from '../schema/contract.ts';
import { overWebSocket, post } from '../server/edge.ts';
import { groupGone, type ServerProcess, startServer, stopServer } from './serverProcess.ts';

/** Whole servers start here; the bound is for a busy machine. */
const PATIENCE_MS = 180_000;
const STEPS = [0, 30, 60, 90, 120];

let dir: string;
const servers: ServerProcess[] = [];
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'alignsae-e2e-'));
});
afterAll(async () => {
  await Promise.all(servers.map((server) => stopServer(server)));
  await rm(dir, { recursive: true, force: true });
});

const start = async () => {
  const server = await startServer({ DATA_DIR: dir, CHECKPOINT_INTERVAL: '500ms' });
  servers.push(server);
  return server;
};

interface GrokkingItem {
  cursor: string;
  at: string;
  point: { step: number; trainAccuracy: number; binding: { hop: number }[] };
}

async function importTwoHops(api: ServerProcess): Promise<string> {
  const lines = [
    { type: 'ontology', slug: 'people', name: 'People' },
    ...TWO_HOP_RELATIONS.map((key) => ({ type: 'concept', key, label: key })),
    ...TWO_HOP_ITEMS,
  ];
  const content = lines.map((line) => JSON.stringify(line)).join('\n');
  const mutation = `mutation ($content: String!) { importDataset(input: { content: $content, name: "Two hops" }) {
    ... on ImportDatasetSuccess { dataset { id } } ... on Error { message } } }`;
  const { body } = await post(api, mutation, { content });
  return body.data.importDataset.dataset.id;
}

it(
  'a grokking run is watched from start to end over a server that is killed in the middle, by the contract',
  async () => {
    const first = await start();
    const { analysis, modelSettings } = TINY_TWO_HOPS;
    const settings = { checkpoints: { steps: STEPS }, analysis };
    const input = { datasetId: await importTwoHops(first), modelSettings, settings };
    const started = await post(first, contract('StartGrokkingRun'), { input });
    expect(started.body.data.startGrokkingRun).toMatchObject({
      ...{ __typename: 'StartRunSuccess', run: { kind: 'GROKKING', status: 'QUEUED' } },
    });
    const { id } = started.body.data.startGrokkingRun.run;
    const query = contract('Grokking');
    const before: GrokkingItem[] = [];
    for await (const item of overWebSocket<GrokkingItem>(first, { id }, query)) {
      before.push(item);
      if (before.length === 2) break;
    }
    process.kill(first.child.pid!, 'SIGKILL');
    await first.exited;
    await groupGone(first);
    const second = await start();
    const after: GrokkingItem[] = [];
    const { cursor } = before.at(-1)!;
    for await (const item of overWebSocket<GrokkingItem>(second, { id, after: cursor }, query))
      after.push(item);
    const points = [...before, ...after];
    expect(points.map(({ point }) => point.step)).toEqual(STEPS);
    for (const { at } of points) expect(Number.isNaN(Date.parse(at))).toBe(false);
    const { body } = await post(second, contract('GrokkingSummary'), { id });
    const { run } = body.data;
    expect(run.points.map(({ step }: { step: number }) => step)).toEqual(STEPS);
    expect(run.points[0].binding[1].matrix).toHaveLength(TWO_HOP_RELATIONS.length);
    expect(run.onset).toMatchObject({ memorization: null, gap: null });
    expect((await post(second, `{ run(id: "${id}") { status } }`)).body.data.run.status).toBe('SUCCEEDED');
  },
  PATIENCE_MS,
);
