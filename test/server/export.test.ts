import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import { sql } from 'drizzle-orm';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Database } from '../../src/db/client.ts';
import { appendLogs, appendMetrics } from '../../src/db/queries/events.ts';
import { interventions, splitMeasures, swapMeasures, sweepCells } from '../../src/db/tables/index.ts';
import { encodeGlobalId } from '../../src/schema/ids.ts';
import { createApiKey } from '../../src/services/apiKey.ts';
import { generateDataset } from '../../src/services/datasetCreation.ts';
import { createTestDatabase } from '../helpers/database.ts';
import { insertQueuedRun, insertRunningRun } from '../helpers/fixtures.ts';
import { post, startTestApi, type TestApi } from './edge.ts';

let database: Database;
let api: TestApi;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterEach(() => api.stop());
afterAll(() => database.close());

const urlOf = (type: string, id: string, file: string) =>
  `${api.url}/export/runs/${encodeURIComponent(encodeGlobalId(type, id))}/${file}`;
const lines = (text: string) =>
  text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line));

/** Fields of a CSV text by RFC 4180, read independently of how it was written. */
function parseCsv(csv: string): string[][] {
  const fields = [...csv.matchAll(/(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n)/g)];
  expect(fields.map(([whole]) => whole).join('')).toBe(csv);
  const rows: string[][] = [[]];
  for (const [, quoted, plain, end] of fields) {
    rows.at(-1)!.push(quoted?.replaceAll('""', '"') ?? plain!);
    if (end === '\r\n') rows.push([]);
  }
  return rows.slice(0, -1);
}

describe('exports', () => {
  test('stream metrics and events whole, as JSON Lines and as CSV, under the addresses of Run.exports', async () => {
    api = await startTestApi(database);
    const { id, claim } = await insertRunningRun(database.db);
    const rows = Array.from({ length: 1500 }, (_, i) => ({
      ...{ step: i + 1, at: 1000 * i, values: { loss: i === 7 ? Number.NaN : 1 / 3, 'loss/bind': -i } },
    }));
    await appendMetrics(database.db, claim, rows);
    await appendLogs(database.db, claim, [{ level: 'WARN', message: '=1+1, "said" it\nand left', at: 5 }]);
    const QUERY = 'query ($id: ID!) { run(id: $id) { exports { name format url } } }';
    const { body } = await post(api, QUERY, { id: encodeGlobalId('ModelRun', id) });
    const files: { name: string; format: string; url: string }[] = body.data.run.exports;
    expect(files.map(({ name, format }) => `${name} ${format}`)).toEqual([
      ...['metrics JSONL', 'metrics CSV', 'events JSONL', 'events CSV'],
    ]);
    const read = async (i: number) => fetch(`${api.url}${files[i]!.url}`);

    const jsonl = await read(0);
    expect(jsonl.headers.get('content-type')).toMatch('application/x-ndjson');
    expect(jsonl.headers.get('content-disposition')).toBe(
      `attachment; filename="model-${id.slice(0, 8)}-metrics.jsonl"`,
    );
    const points = lines(await jsonl.text());
    expect(points).toHaveLength(3000);
    expect(points[0]).toEqual({
      seq: 3,
      at: '1970-01-01T00:00:00.000Z',
      step: 1,
      name: 'loss',
      value: 1 / 3,
    });
    expect(points.filter(({ value }) => value === null)).toMatchObject([{ step: 8, name: 'loss' }]);
    expect(points.map(({ step, name }) => `${step} ${name}`)).toEqual(
      rows.flatMap(({ step }) => [`${step} loss`, `${step} loss/bind`]),
    );

    const bytes = Buffer.from(await (await read(1)).arrayBuffer());
    // A byte order mark, by which Excel knows UTF-8; JSON Lines have none.
    expect(bytes.subarray(0, 6).toString('hex')).toBe(Buffer.from('\uFEFFseq').toString('hex'));
    expect(Buffer.from(await (await read(0)).arrayBuffer())[0]).toBe('{'.charCodeAt(0));
    const csv = parseCsv(bytes.subarray(3).toString());
    expect(csv.slice(0, 3)).toEqual([
      ['seq', 'at', 'step', 'name', 'value'],
      ['3', '1970-01-01T00:00:00.000Z', '1', 'loss', String(1 / 3)],
      ['3', '1970-01-01T00:00:00.000Z', '1', 'loss/bind', '0'],
    ]);
    expect(csv[4]![4]).toBe('-1');
    expect(csv).toHaveLength(3001);

    const events = lines(await (await read(2)).text());
    expect(events.map(({ type, status }) => [type, status])).toEqual([
      ...[
        ['STATUS', 'QUEUED'],
        ['STATUS', 'RUNNING'],
        ['LOG', null],
      ],
    ]);
    expect(events[2].message).toBe('=1+1, "said" it\nand left');
    const message = parseCsv(await (await read(3)).text()).at(-1)![8];
    expect(message).toBe('\'=1+1, "said" it\nand left');
  });

  test('have what alignments and sweeps have measured', async () => {
    api = await startTestApi(database);
    const { db } = database;
    const dataset = await generateDataset(db, { people: 2, seed: 0 });
    const { rows: concepts } = await db.execute<{ id: string; key: string }>(sql`
      select id, key from concepts where ontology_id = ${dataset.ontologyId} order by position`);
    const [a, b] = concepts.map(({ key }) => key);
    const parent = await insertQueuedRun(db, { kind: 'ALIGNMENT_SWEEP', datasetId: dataset.id });
    const run = await insertQueuedRun(db, {
      kind: 'ALIGNMENT',
      datasetId: dataset.id,
      settings: { layer: 2 },
    });
    await db.execute(sql`update runs set parent_id = ${parent.id} where id = ${run.id}`);
    const runId = run.id;
    await db.insert(splitMeasures).values({
      ...{ runId, split: 'TRAIN', examples: 4, accuracy: 0.75, top3: 1, top5: 1, diagonalAccuracy: 1 },
      ...{
        diagonalStrength: 1,
        matrix: [
          [0.5, 0.5],
          [0, 1],
        ],
        conceptAccuracy: [],
        fvu: 0.1,
        l0: 2,
        deadLatents: 0,
      },
    });
    await db.insert(swapMeasures).values({
      ...{ runId, control: 'CONCEPT', population: 'UNSEEN', split: 'TRAIN', alpha: 2 },
      ...{ trials: 4, successes: 1, chosen: true },
    });
    await db.insert(interventions).values({
      ...{ runId, method: 'LATENT_DECODE', alpha: 2, prompt: 'p', success: true },
      ...{ sourceConceptId: concepts[0]!.id, targetConceptId: concepts[1]!.id },
      ...{ baseline: { text: 'x', tokens: [] }, result: { text: 'y', tokens: [] }, slots: [] },
    });
    const sweep = await insertQueuedRun(db, { kind: 'SWAP_SWEEP', datasetId: dataset.id });
    await db.insert(sweepCells).values({
      ...{ runId: sweep.id, position: 0, edited: 'CONCEPT', method: 'LATENT_DECODE', alpha: 1, trials: 2 },
      ...{ successes: 1, otherPrompts: 0, otherPromptsKept: 0, texts: 3, textsKept: 3 },
      ...{ statements: 2, statementsKept: 1 },
      pairs: [{ source: 0, target: 1, trials: 2, successes: 1 }],
    });
    const read = async (type: string, id: string, name: string) =>
      lines(await (await fetch(urlOf(type, id, `${name}.jsonl`))).text());

    const [binding] = await read('AlignmentRun', runId, 'binding');
    expect(binding).toMatchObject({ split: 'TRAIN', accuracy: 0.75, valueAccuracy: null, fvu: 0.1 });
    expect(binding.accuracyLow).toBeCloseTo(0.3006, 3);
    const matrix = await read('AlignmentRun', runId, 'matrix');
    expect(matrix.map(Object.values)).toEqual([
      ...[
        ['TRAIN', a, a, 0.5],
        ['TRAIN', a, b, 0.5],
      ],
      ...[
        ['TRAIN', b, a, 0],
        ['TRAIN', b, b, 1],
      ],
    ]);
    expect(await read('AlignmentRun', runId, 'swaps')).toMatchObject([
      { edited: 'CONCEPT', successRate: 0.25 },
    ]);
    expect(await read('AlignmentRun', runId, 'interventions')).toMatchObject([
      { sourceConcept: a, targetConcept: b, success: true, result: 'y', resultTokens: [] },
    ]);
    expect(await read('AlignmentRun', runId, 'faithfulness')).toEqual([]);
    expect(await read('AlignmentRun', runId, 'latents')).toEqual([]);
    const [cell] = await read('SwapSweepRun', sweep.id, 'sweep');
    expect(cell).toMatchObject({
      successRate: 0.5,
      promptIsolation: null,
      textIsolation: 1,
      statementIsolation: 0.5,
    });
    expect(cell.textIsolationLow).toBeLessThan(1);
    expect(await read('SwapSweepRun', sweep.id, 'pairs')).toMatchObject([
      { source: a, target: b, successes: 1 },
    ]);
    const part = { run: encodeGlobalId('AlignmentRun', runId), layer: 2, seed: 0 };
    expect(await read('AlignmentSweepRun', parent.id, 'parts')).toMatchObject([
      { ...part, status: 'QUEUED' },
    ]);
    expect(await read('AlignmentSweepRun', parent.id, 'part-binding')).toMatchObject([
      { ...part, accuracy: 0.75 },
    ]);
    expect(await read('AlignmentSweepRun', parent.id, 'part-swaps')).toMatchObject([{ ...part, alpha: 2 }]);
    const empty = await (await fetch(urlOf('AlignmentRun', runId, 'faithfulness.csv'))).text();
    expect(empty).toBe(
      'split,replacement,prompts,correct,accuracy,accuracyLow,accuracyHigh,crossEntropy\r\n',
    );
  });

  test('say what is wrong, as JSON', async () => {
    api = await startTestApi(database);
    const { id } = await insertQueuedRun(database.db);
    const cases = [
      [urlOf('ModelRun', id, 'swaps.csv'), 404, /kind MODEL has no export "swaps"; it has metrics, events/],
      [urlOf('ModelRun', id, 'metrics.xml'), 400, /"xml" is not a format .* jsonl or csv/],
      [urlOf('Model', id, 'metrics.csv'), 400, /id of a Model; accepted is/],
      [`${api.url}/export/runs/nonsense/metrics.csv`, 400, /not an id of this API/],
      [`${api.url}/export/runs/%zz/metrics.csv`, 400, /percent-encoded/],
      [
        urlOf(
          'ModelRun',
          id.replace(/^./, (c) => (c === '0' ? '1' : '0')),
          'metrics.csv',
        ),
        404,
        /does not exist/,
      ],
      [`${api.url}/export/whatever`, 404, /exports are at \/export\/runs\//],
    ] as const;
    for (const [url, status, message] of cases) {
      const response = await fetch(url, { headers: { 'x-request-id': 'mine' } });
      expect([url, response.status]).toEqual([url, status]);
      expect(response.headers.get('x-request-id')).toBe('mine');
      const [error] = (await response.json()).errors;
      expect(error.message).toMatch(message);
      expect(error.extensions.code).toBe(status === 404 ? 'NOT_FOUND' : 'INVALID_INPUT');
    }
    const posted = await fetch(urlOf('ModelRun', id, 'metrics.csv'), { method: 'POST' });
    expect([posted.status, posted.headers.get('allow')]).toEqual([405, 'GET, HEAD']);
    const head = await fetch(urlOf('ModelRun', id, 'metrics.csv'), { method: 'HEAD' });
    expect([head.status, head.headers.get('content-type')]).toEqual([200, expect.stringMatching('text/csv')]);
  });

  test('need a key with the scope READ, and let allowed origins ask', async () => {
    const origin = 'https://lab.example';
    api = await startTestApi(database, { CORS_ORIGINS: origin }, { allowAnonymous: false });
    const { id } = await insertQueuedRun(database.db);
    const url = urlOf('ModelRun', id, 'events.csv');
    const withKey = async (scopes: ('READ' | 'RUN')[]) => {
      const { key } = await createApiKey(database.db, { name: 'k', scopes });
      return fetch(url, { headers: { authorization: `Bearer ${key}`, origin } });
    };
    const refused = await fetch(url, { headers: { accept: 'text/html' } });
    expect([refused.status, refused.headers.get('www-authenticate')]).toEqual([401, 'Bearer']);
    expect((await refused.json()).errors[0].message).toMatch(/Authorization: Bearer/);
    const forbidden = await withKey(['RUN']);
    expect(forbidden.status).toBe(403);
    expect((await forbidden.json()).errors[0].message).toMatch(/needs the scope READ; this caller has RUN/);
    const allowed = await withKey(['READ']);
    expect([allowed.status, allowed.headers.get('access-control-allow-origin')]).toEqual([200, origin]);
    const preflight = await fetch(url, { method: 'OPTIONS', headers: { origin } });
    expect([preflight.status, preflight.headers.get('access-control-allow-headers')]).toEqual([
      ...[204, expect.stringMatching('authorization')],
    ]);
    expect((await fetch(url, { headers: { origin: 'https://other.example' } })).status).toBe(403);
  });

  test('wait for a client that does not read, hold no connection meanwhile, and end when it leaves', async () => {
    api = await startTestApi(database);
    const { id } = await insertRunningRun(database.db);
    // 80 MB in 40 pages, more than the buffers of two sockets hold.
    await database.db.execute(sql`
      insert into run_events (run_id, seq, at, type, payload)
      select ${id}, i, now(), 'LOG', jsonb_build_object('level', 'INFO', 'message', repeat('x', 4000))
      from generate_series(3, 20002) i`);
    await database.db.execute(sql`analyze run_events`);
    const PAGES = 40;
    let queries = 0;
    const count = () => {
      queries++;
    };
    database.pool.on('acquire', count);
    // Meanwhile a stream that nothing holds back would read all of its pages. The queries of the wait do not count.
    const wait = async () => {
      for (let i = 0; i < 200; i++, queries--) await database.pool.query('select pg_sleep(0.002)');
    };
    const request = get(urlOf('ModelRun', id, 'events.jsonl'));
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    await once(response, 'readable');
    await wait();
    const before = queries;
    expect(before).toBeLessThan(PAGES);
    expect(database.pool.totalCount - database.pool.idleCount).toBe(0);
    await wait();
    expect(queries).toBe(before);
    response.destroy();
    await wait();
    expect(queries).toBeLessThanOrEqual(before + 1);
    database.pool.off('acquire', count);
  });
});
