/** The subscription to all runs: nothing missed, nothing twice, whatever commits late and whoever is slow. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { appendMetrics } from '../../src/db/queries/events.ts';
import { cancelRun, reportProgress } from '../../src/db/queries/runs.ts';
import { encodeGlobalId } from '../../src/schema/ids.ts';
import { label } from '../../src/services/labels.ts';
import { insertDataset, insertQueuedRun, insertRunningRun } from '../helpers/fixtures.ts';
import { type Api, openApi } from './api.ts';
import { contract } from './contract.ts';

let api: Api;
let datasetId: string;
beforeAll(async () => {
  api = await openApi();
  datasetId = await insertDataset(api.database.db);
});
afterAll(() => api.close());

const CHANGES = `subscription ($filter: RunFilter, $after: String) {
  runsChanged(filter: $filter, after: $after) { cursor id fits run { name status } }
}`;
interface Change {
  cursor: string;
  id: string;
  fits: boolean;
  run: { name: string | null; status: string } | null;
}

async function follow(variables: object = {}, document = CHANGES) {
  const events = await api.subscribe(document, { ...variables });
  return {
    /** The next `n` changes. */
    async take(n: number): Promise<Change[]> {
      const taken: Change[] = [];
      while (taken.length < n) {
        const { value, done } = await events.next();
        if (done) throw new Error('the subscription ended');
        expect(value.errors).toBeUndefined();
        taken.push(value.data.runsChanged);
      }
      return taken;
    },
    end: () => events.return!(),
  };
}

const rename = (id: string, name: string) => label(api.database.db, 'Run', id, { name });
const queued = (values: object = {}) => insertQueuedRun(api.database.db, { datasetId, ...values });
const globalId = (id: string) => encodeGlobalId('ModelRun', id);

test('the promised operations work as they stand: a list, then what changes behind it', async () => {
  const { db } = api.database;
  const run = await insertRunningRun(db, { datasetId });
  const { runs } = await api.ask(contract('RunRows'), { first: 10 });
  expect(runs.edges[0].node).toMatchObject({ id: globalId(run.id), status: 'RUNNING', mainMetric: null });
  const { runs: list } = await api.ask('{ runs(first: 1) { changesCursor } }');
  await appendMetrics(db, run.claim, [{ step: 3, at: 1, values: { loss: 0.5 } }]);
  const changes = await follow({ after: list.changesCursor }, contract('RunsChanged'));
  const [first] = await changes.take(1);
  expect(first!.run).toMatchObject({ mainMetric: { name: 'loss', value: 0.5, step: 3 } });
  const live = changes.take(1);
  await reportProgress(db, run.claim, { phase: 'TRAIN', progress: 0.25, etaSeconds: 3 });
  expect((await live)[0]!.run).toMatchObject({ phase: 'TRAIN', progress: 0.25, status: 'RUNNING' });
  await changes.end();
});

test('who comes back in the middle of a batch is told the rest, and what has changed again since', async () => {
  const runs = (await Promise.all([queued(), queued(), queued(), queued()])).map(({ id }) => id).sort();
  const { runs: list } = await api.ask('{ runs(first: 1) { changesCursor } }');
  await api.database.db.transaction(async (tx) => {
    for (const id of runs) await label(tx, 'Run', id, { name: 'once' });
  });
  const before = await follow({ after: list.changesCursor });
  const told = await before.take(4);
  expect(told.map(({ id }) => id)).toEqual(runs.map(globalId));
  await before.end();
  await rename(runs[0]!, 'again');
  const resumed = await Promise.all(told.map(({ cursor }) => follow({ after: cursor })));
  for (const [i, changes] of resumed.entries()) {
    // The rest of the batch, then the one that has changed again.
    const rest = await changes.take(4 - i);
    expect(rest.map(({ id }) => id)).toEqual([...runs.slice(i + 1), runs[0]!].map(globalId));
  }
  await rename(runs[1]!, 'live');
  for (const changes of resumed) {
    expect((await changes.take(1))[0]).toMatchObject({ id: globalId(runs[1]!), run: { name: 'live' } });
    await changes.end();
  }
});

test('what commits behind a later transaction is told, and told once', async () => {
  const { pool, db } = api.database;
  const [late, early] = [await queued(), await queued()];
  const live = await follow();
  const slow = await pool.connect();
  await slow.query('begin');
  await slow.query(`update runs set name = 'late' where id = $1`, [late.id]);
  await rename(early.id, 'early');
  const [first] = await live.take(1);
  expect(first!.run!.name).toBe('early');
  const resumedBefore = await follow({ after: first!.cursor });
  await slow.query('commit');
  slow.release();
  const [second] = await live.take(1);
  expect(second!.run!.name).toBe('late');
  expect((await resumedBefore.take(1))[0]!.run!.name).toBe('late');
  const resumedAfter = await follow({ after: first!.cursor });
  expect((await resumedAfter.take(1))[0]!.run!.name).toBe('late');
  const behind = await follow({ after: second!.cursor });
  await label(db, 'Run', early.id, { name: 'last' });
  for (const changes of [live, resumedBefore, resumedAfter, behind]) {
    expect((await changes.take(1))[0]!.run!.name).toBe('last');
    await changes.end();
  }
});

test('a filter tells of what fits, of what fits no more, and of nothing else', async () => {
  const { db } = api.database;
  const filter = { tag: 'watched', kind: ['MODEL'] };
  const [mine, other] = [await queued(), await queued()];
  await label(db, 'Run', mine.id, { tags: ['watched'] });
  const changes = await follow({ filter });
  await rename(other.id, 'of no concern');
  await queued({ kind: 'ALIGNMENT' });
  await cancelRun(db, mine.id);
  const [ended] = await changes.take(1);
  expect(ended).toMatchObject({ id: globalId(mine.id), fits: true, run: { status: 'CANCELLED' } });
  await label(db, 'Run', mine.id, { tags: [] });
  expect(await changes.take(1)).toMatchObject([{ id: globalId(mine.id), fits: false }]);
  await rename(mine.id, 'of no concern now');
  await label(db, 'Run', other.id, { tags: ['watched'] });
  expect(await changes.take(1)).toMatchObject([{ id: globalId(other.id), fits: true }]);
  // Who was away may have shown a run that fits no more, and is told of it.
  const resumed = await follow({ filter, after: ended!.cursor });
  const missed = await resumed.take(2);
  expect(missed.map(({ id, fits }) => [id, fits]).sort()).toEqual(
    [
      [globalId(mine.id), false],
      [globalId(other.id), true],
    ].sort(),
  );
  await Promise.all([changes.end(), resumed.end()]);
});

test('a run that was deleted is told of, to who is there and to who comes back', async () => {
  const run = await queued();
  await cancelRun(api.database.db, run.id);
  const { runs: list } = await api.ask('{ runs(first: 1) { changesCursor } }');
  const live = await follow({ filter: { datasetId: encodeGlobalId('Dataset', datasetId) } });
  const { deleteRun } = await api.ask(contract('DeleteRun'), { id: globalId(run.id) });
  expect(deleteRun.__typename).toBe('DeleteSuccess');
  const gone = { id: globalId(run.id), run: null, fits: false };
  expect(await live.take(1)).toMatchObject([gone]);
  const late = await follow({ after: list.changesCursor });
  expect(await late.take(1)).toMatchObject([gone]);
  await Promise.all([live.end(), late.end()]);
});

test('who is slow is told of each run once, as it is by then', async () => {
  const run = await queued();
  const changes = await follow();
  for (let i = 0; i < 20; i++) await rename(run.id, `name ${i}`);
  const other = await queued();
  // Its reads are at most four a second, so a twentieth of a second's changes are told together.
  const names: (string | null)[] = [];
  while (names.at(-1) !== 'name 19') {
    const [change] = await changes.take(1);
    if (change!.id === globalId(run.id)) names.push(change!.run!.name);
  }
  expect(names.length).toBeLessThan(8);
  expect(other.id).not.toBe(run.id);
  await changes.end();
});

test.each([
  ['what is no cursor', 'x'],
  ['a cursor of another list', btoa('event:1').replaceAll('=', '')],
  ['a snapshot that is none', Buffer.from('runs:0.1').toString('base64url')],
  ['a snapshot that Postgres would refuse', Buffer.from('runs:5.1.0').toString('base64url')],
  ['numbers beyond all', Buffer.from('runs:zzzzzzzzzzzzz.1').toString('base64url')],
  ['a moment that has not come', Buffer.from('runs:zzzzzzz.1').toString('base64url')],
])('refuses %s', async (_what, after) => {
  const error = { path: ['runsChanged'], extensions: { code: 'INVALID_INPUT', path: ['after'] } };
  await expect(api.subscribe(CHANGES, { after })).rejects.toMatchObject(error);
});
