/** Swaps of a sweep one by one: listed, filtered, taken out, and how much room they take. */
import { eq, sql } from 'drizzle-orm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { appendCell } from '../../src/db/queries/sweepCells.ts';
import { examples, sweepAnswers, sweepSwaps } from '../../src/db/tables/index.ts';
import type { SwapOutcome } from '../../src/engine/contract/sweepTrials.ts';
import { listOf } from '../../src/runs/index.ts';
import { trials } from '../../src/runs/sweepTrials.ts';
import { encodeGlobalId } from '../../src/schema/ids.ts';
import { generateDataset } from '../../src/services/datasetCreation.ts';
import { insertRunningRun } from '../helpers/fixtures.ts';
import { type Api, type Data, openApi } from './api.ts';

let api: Api;
let datasetId: string;
let prompts: { id: string; prompt: string }[];
beforeAll(async () => {
  api = await openApi();
  const { db } = api.database;
  ({ id: datasetId } = await generateDataset(db, { people: 3, seed: 0 }));
  prompts = await db
    .select({ id: examples.id, prompt: examples.prompt })
    .from(examples)
    .where(eq(examples.datasetId, datasetId))
    .orderBy(examples.position);
});
afterAll(() => api.close());

const OUTCOMES: SwapOutcome[] = ['WHOLE', 'PART', 'CATEGORY', 'UNCHANGED', 'OTHER'];
/** More than a piece, so that pages go on from one to the next. */
const SWAPS = 2100;

const cell = (position: number) => ({
  ...{ position, edited: 'CONCEPT' as const, method: 'LATENT_DECODE' as const, alpha: position + 1 },
  ...{ trials: 2, successes: 1, looseSuccesses: 1, categoryKept: 0 },
  ...{ knownTrials: 1, knownSuccesses: 0, leftOut: 0, otherPrompts: 0, otherPromptsKept: 0 },
  ...{ texts: 0, textsKept: 0, statements: 0, statementsKept: 0, pairs: [] },
});

/** Swap i goes from concept i % 6 to the next; every seventh could not be tried. */
const swapsOf = (count: number) =>
  Array.from({ length: count }, (_, i) => ({
    promptId: prompts[i % prompts.length]!.id,
    ...{ source: i % 6, target: (i + 1) % 6 },
    expected: [`value ${i}`, 'or\0another'],
    ...{ before: `before ${i % 50}`, known: i % 2 === 0 },
  }));
const answersOf = (count: number, position: number) => ({
  answers: Array.from({ length: count }, (_, i) => (i % 7 === 6 ? null : `after ${position} ${i % 90}`)),
  outcomes: Array.from({ length: count }, (_, i) => (i % 7 === 6 ? null : OUTCOMES[(i + position) % 5]!)),
});

const TRIALS = /* GraphQL */ `
  query ($id: ID!, $filter: SweepTrialFilter, $first: Int, $after: String, $last: Int, $before: String) {
    run(id: $id) {
      ... on SwapSweepRun {
        trials(filter: $filter, first: $first, after: $after, last: $last, before: $before) {
          totalCount
          pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
          edges {
            node {
              edited method alpha prompt example { id } source { key } target { key } expected before after outcome known
            }
          }
        }
      }
    }
  }
`;

async function storeSweep(kept: boolean): Promise<string> {
  const { db } = api.database;
  const { id, claim } = await insertRunningRun(db, { kind: 'SWAP_SWEEP', datasetId });
  for (const position of [0, 1]) {
    const swaps = position === 0 ? swapsOf(SWAPS) : null;
    const answers = { ...answersOf(SWAPS, position), swaps };
    expect(await appendCell(db, claim, { ...cell(position), ...(kept && { kept: answers }) })).toBe(true);
  }
  return id;
}

describe('the swaps of a sweep', () => {
  let runId: string;
  beforeAll(async () => {
    runId = await storeSweep(true);
  });
  const read = async (variables: object, id = runId): Promise<Data> =>
    (await api.ask(TRIALS, { id: encodeGlobalId('SwapSweepRun', id), ...variables })).run.trials;
  const nodes = (page: Data): Data[] => page.edges.map(({ node }: Data) => node);
  const tried = [...Array(SWAPS).keys()].filter((i) => i % 7 !== 6);

  it('are listed cell by cell, with what was asked and answered', async () => {
    const page = await read({ first: 2 });
    expect(page.totalCount).toBe(2 * tried.length);
    const [first] = nodes(page);
    expect(first).toMatchObject({
      ...{ edited: 'CONCEPT', method: 'LATENT_DECODE', alpha: 1, prompt: prompts[0]!.prompt },
      ...{ expected: ['value 0', 'or\\u0000another'], before: 'before 0', after: 'after 0 0' },
      ...{ outcome: 'WHOLE', known: true, example: { id: encodeGlobalId('Example', prompts[0]!.id) } },
    });
    expect(first!.source.key).not.toBe(first!.target.key);
  });

  it('are read on page by page from either end, each once', async () => {
    const seen: string[] = [];
    for (let after: string | null = null; ; ) {
      const page: Data = await read({ first: 500, after });
      seen.push(...nodes(page).map((node) => `${node.alpha} ${node.expected[0]}`));
      expect(page.pageInfo.hasPreviousPage).toBe(after !== null);
      if (!page.pageInfo.hasNextPage) break;
      after = page.pageInfo.endCursor;
    }
    expect(seen).toEqual([1, 2].flatMap((alpha) => tried.map((i) => `${alpha} value ${i}`)));
    const last = await read({ last: 3 });
    expect(nodes(last).map((node) => `${node.alpha} ${node.expected[0]}`)).toEqual(seen.slice(-3));
    const before = await read({ last: 2, before: last.pageInfo.startCursor });
    expect(nodes(before).map((node) => `${node.alpha} ${node.expected[0]}`)).toEqual(seen.slice(-5, -3));
    expect(before.pageInfo).toMatchObject({ hasNextPage: true, hasPreviousPage: true });
  });

  it('are filtered by outcome, concept and cell, and counted so', async () => {
    const { source, target } = nodes(await read({ first: 1 }))[0]!;
    for (const [filter, fits] of [
      [{ outcomes: ['PART', 'OTHER'] }, (i: number, c: number) => [1, 4].includes((i + c) % 5)],
      [{ source: source.key }, (i: number) => i % 6 === 0],
      [
        { target: target.key, outcomes: ['WHOLE'] },
        (i: number, c: number) => i % 6 === 0 && (i + c) % 5 === 0,
      ],
      [{ alpha: 2, method: 'LATENT_DECODE', edited: 'CONCEPT' }, (_: number, c: number) => c === 1],
      [{ alpha: 7 }, () => false],
    ] as const) {
      const expected = [0, 1].flatMap((c) =>
        tried.filter((i) => fits(i, c)).map((i) => `${c + 1} value ${i}`),
      );
      const page = await read({ filter, first: 400 });
      expect(page.totalCount).toBe(expected.length);
      expect(nodes(page).map((node) => `${node.alpha} ${node.expected[0]}`)).toEqual(expected.slice(0, 400));
    }
  });

  it('are not there where the sweep does not keep them', async () => {
    expect(await read({}, await storeSweep(false))).toMatchObject({ totalCount: 0, edges: [] });
  });

  it('are refused with a foreign cursor, an unknown concept, or too many at once', async () => {
    const id = encodeGlobalId('SwapSweepRun', runId);
    for (const [variables, message] of [
      [{ after: 'nonsense' }, /not a cursor of this list/],
      [{ filter: { source: 'nobody' } }, /"nobody" is not a concept/],
      [{ first: 501 }, /0–500, got 501/],
      [{ first: 1, last: 1 }, /exclude each other/],
    ] as const) {
      const { errors } = await api.answer(TRIALS, { id, ...variables });
      expect(errors![0]!.message).toMatch(message);
    }
  });

  it('can be taken out', async () => {
    const { rows } = await api.database.db.execute<Data>(
      sql`select * from (${trials.rows(listOf([runId]))}) r order by position, swap`,
    );
    expect(rows).toHaveLength(2 * tried.length);
    expect(rows[0]).toMatchObject({
      ...{ position: 0, alpha: 1, swap: '0', prompt: prompts[0]!.prompt, before: 'before 0', known: true },
      ...{ after: 'after 0 0', outcome: 'WHOLE', expected: ['value 0', 'or\\u0000another'] },
    });
    expect(rows.at(-1)).toMatchObject({ position: 1, swap: '2098', outcome: OUTCOMES[(2098 + 1) % 5] });
  });
});

it('100,000 swaps take less than 20 MB', async () => {
  const { db } = api.database;
  const { claim } = await insertRunningRun(db, { kind: 'SWAP_SWEEP', datasetId });
  const count = 10_000;
  for (let position = 0; position < 10; position++) {
    const answers = Array.from({ length: count }, (_, i) => `an answer of some length, ${position} ${i}`);
    const kept = { ...answersOf(count, position), answers, swaps: position === 0 ? swapsOf(count) : null };
    await appendCell(db, claim, {
      ...cell(position),
      kept: { ...kept, outcomes: answers.map(() => 'OTHER') },
    });
  }
  const { rows } = await db.execute<{ bytes: string }>(
    sql`select pg_total_relation_size('sweep_answers') + pg_total_relation_size('sweep_swaps') as bytes`,
  );
  expect(await db.$count(sweepAnswers)).toBeGreaterThan(100);
  expect(await db.$count(sweepSwaps)).toBeGreaterThan(10);
  expect(Number(rows[0]!.bytes)).toBeLessThan(20 * 2 ** 20);
});
