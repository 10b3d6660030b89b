/** Swaps of sweeps one by one: stored in pieces with their cell, read in pages. */
import { and, asc, desc, eq, inArray, type SQL, sql } from 'drizzle-orm';
import { openCursor, sealCursor } from '../../cursor.ts';
import { type KeptAnswers, SWAP_OUTCOMES, type SwapOutcome } from '../../engine/contract/sweepTrials.ts';
import { invalidInput } from '../../errors.ts';
import { shownText } from '../../storedText.ts';
import type { Executor } from '../client.ts';
import { sweepAnswers, sweepCells, sweepSwaps } from '../tables/index.ts';
import { checkSize, DEFAULT_PAGE, type Page, type PageArgs } from './page.ts';

type SweepCell = typeof sweepCells.$inferSelect;

const PIECE = 1000;
/** Pieces that are read together; most pages need one. */
const PIECES_AT_ONCE = 8;

/** Stores what a cell kept, in the transaction that stores the cell. */
export async function insertTrials(
  tx: Executor,
  runId: string,
  position: number,
  { answers, outcomes, swaps }: KeptAnswers,
): Promise<void> {
  for (let start = 0; swaps && start < swaps.length; start += PIECE) {
    const piece = swaps.slice(start, start + PIECE);
    await tx
      .insert(sweepSwaps)
      .values({
        ...{ runId, start },
        exampleIds: piece.map(({ promptId }) => promptId),
        sources: piece.map(({ source }) => source),
        targets: piece.map(({ target }) => target),
        expected: piece.map(({ expected }) => expected.map(shownText)),
        before: piece.map(({ before }) => shownText(before)),
        known: piece.map(({ known }) => known),
      })
      .onConflictDoNothing();
  }
  for (let start = 0; start < answers.length; start += PIECE) {
    const own = answers.slice(start, start + PIECE).map((answer) => answer && shownText(answer));
    const different = [...new Set(own.flatMap((answer) => answer ?? []))];
    const placeOf = new Map(different.map((answer, i) => [answer, i + 1]));
    await tx.insert(sweepAnswers).values({
      ...{ runId, position, start, answers: different },
      places: own.map((answer) => (answer === null ? null : placeOf.get(answer)!)),
      outcomes: outcomes
        .slice(start, start + PIECE)
        .map((outcome) => (outcome === null ? null : SWAP_OUTCOMES.indexOf(outcome))),
    });
  }
}

export interface TrialFilter {
  outcomes?: readonly SwapOutcome[] | null;
  edited?: SweepCell['edited'] | null;
  method?: SweepCell['method'] | null;
  alpha?: number | null;
  /** Concepts by index. */
  source?: number | null;
  target?: number | null;
}

export interface SweepTrial {
  runId: string;
  cell: Pick<SweepCell, 'position' | 'edited' | 'method' | 'alpha'>;
  exampleId: string;
  source: number;
  target: number;
  expected: readonly string[];
  before: string;
  after: string;
  known: boolean;
  outcome: SwapOutcome;
}

type Place = readonly [position: number, swap: number];

/**
 * One page of the swaps of a sweep that fit, cell by cell in the order of work.
 * @throws AppError INVALID_INPUT for a page size out of range, `first` with `last`, or a foreign cursor.
 */
export async function readTrials(
  db: Executor,
  runId: string,
  filter: TrialFilter,
  args: PageArgs,
): Promise<Page<SweepTrial>> {
  if (args.first != null && args.last != null)
    throw invalidInput(['last'], 'first and last exclude each other; give one of them');
  const backwards = args.last != null;
  const size = checkSize(backwards ? 'last' : 'first', args.last ?? args.first ?? DEFAULT_PAGE);
  const [after, before] = [readCursor(args.after, 'after'), readCursor(args.before, 'before')];
  const found = await takeTrials(db, runId, filter, { after, before, backwards, count: size + 1 });
  const kept = found.slice(0, size);
  if (backwards) kept.reverse();
  const edges = kept.map(({ place, trial }) => ({ cursor: cursorOf(place), node: trial }));
  const more = found.length > size;
  return {
    edges,
    pageInfo: {
      hasNextPage: backwards ? before !== null : more,
      hasPreviousPage: backwards ? more : after !== null,
      startCursor: edges[0]?.cursor ?? null,
      endCursor: edges.at(-1)?.cursor ?? null,
    },
    totalCount: () => countTrials(db, runId, filter),
  };
}

interface Taking {
  after: Place | null;
  before: Place | null;
  backwards: boolean;
  count: number;
}

interface Taken {
  place: Place;
  trial: SweepTrial;
}

/** The first `count` that fit, from either end; pieces that have none are not read. */
async function takeTrials(
  db: Executor,
  runId: string,
  filter: TrialFilter,
  { after, before, backwards, count }: Taking,
): Promise<Taken[]> {
  const taken: Taken[] = [];
  const order = backwards ? desc : asc;
  let [from, to] = [pieceOf(after), pieceOf(before)];
  let isFirst = true;
  while (taken.length < count) {
    const pieces = await db
      .select({ cell: sweepCells, answers: sweepAnswers, swaps: sweepSwaps })
      .from(sweepAnswers)
      .innerJoin(sweepCells, cellOf)
      .innerJoin(sweepSwaps, swapsOf)
      .where(
        and(
          fitting(runId, filter),
          from ? beyond(from, isFirst || backwards ? '>=' : '>') : undefined,
          to ? beyond(to, isFirst || !backwards ? '<=' : '<') : undefined,
        ),
      )
      .orderBy(order(sweepAnswers.position), order(sweepAnswers.start))
      .limit(PIECES_AT_ONCE);
    for (const { cell, answers, swaps } of pieces) {
      const own = unpack(runId, cell, answers, swaps, filter).filter(
        ({ place }) => (!after || isBehind(place, after)) && (!before || isBehind(before, place)),
      );
      taken.push(...(backwards ? own.reverse() : own));
    }
    const last = pieces.at(-1)?.answers;
    if (!last || pieces.length < PIECES_AT_ONCE) break;
    if (backwards) to = [last.position, last.start];
    else from = [last.position, last.start];
    isFirst = false;
  }
  return taken.slice(0, count);
}

const cellOf = and(eq(sweepCells.runId, sweepAnswers.runId), eq(sweepCells.position, sweepAnswers.position));
const swapsOf = and(eq(sweepSwaps.runId, sweepAnswers.runId), eq(sweepSwaps.start, sweepAnswers.start));

/** Pieces in which something may fit. */
function fitting(runId: string, { outcomes, edited, method, alpha }: TrialFilter): SQL | undefined {
  return and(
    eq(sweepAnswers.runId, runId),
    outcomes ? sql`${sweepAnswers.outcomes} && ${numbersOf(outcomes)}` : undefined,
    edited ? inArray(sweepCells.edited, [edited]) : undefined,
    method ? inArray(sweepCells.method, [method]) : undefined,
    alpha == null ? undefined : eq(sweepCells.alpha, alpha),
  );
}

/** As `smallint[]`. */
function numbersOf(outcomes: readonly SwapOutcome[]): SQL {
  return sql`${sql.param(`{${outcomes.map((outcome) => SWAP_OUTCOMES.indexOf(outcome)).join()}}`)}::smallint[]`;
}

function beyond([position, start]: Place, how: '>' | '>=' | '<' | '<='): SQL {
  return sql`(${sweepAnswers.position}, ${sweepAnswers.start}) ${sql.raw(how)} (${position}, ${start})`;
}

function unpack(
  runId: string,
  { position, edited, method, alpha }: SweepCell,
  { start, answers, places, outcomes }: typeof sweepAnswers.$inferSelect,
  swaps: typeof sweepSwaps.$inferSelect,
  filter: TrialFilter,
): Taken[] {
  const cell = { position, edited, method, alpha };
  return places.flatMap((place, i): Taken[] => {
    const outcome = outcomes[i] === null ? undefined : SWAP_OUTCOMES[outcomes[i]!];
    if (place === null || !outcome) return [];
    const [source, target] = [swaps.sources[i]!, swaps.targets[i]!];
    if (filter.outcomes && !filter.outcomes.includes(outcome)) return [];
    if ((filter.source ?? source) !== source || (filter.target ?? target) !== target) return [];
    const trial = {
      ...{ runId, cell, source, target, outcome },
      exampleId: swaps.exampleIds[i]!,
      expected: swaps.expected[i]!,
      before: swaps.before[i]!,
      after: answers[place - 1]!,
      known: swaps.known[i]!,
    };
    return [{ place: [position, start + i], trial }];
  });
}

async function countTrials(db: Executor, runId: string, filter: TrialFilter): Promise<number> {
  const { outcomes, source, target } = filter;
  const [row] = await db
    .select({ n: sql<number>`count(*)::int` })
    .from(sweepAnswers)
    .innerJoin(sweepCells, cellOf)
    .innerJoin(sweepSwaps, swapsOf)
    .innerJoin(
      sql`unnest(${sweepAnswers.outcomes}, ${sweepSwaps.sources}, ${sweepSwaps.targets}) as o (outcome, source, target)`,
      sql`o.outcome is not null`,
    )
    .where(
      and(
        fitting(runId, filter),
        outcomes ? sql`o.outcome = any(${numbersOf(outcomes)})` : undefined,
        source == null ? undefined : sql`o.source = ${source}`,
        target == null ? undefined : sql`o.target = ${target}`,
      ),
    );
  return row!.n;
}

/** Where the piece begins in which this place is. */
function pieceOf(place: Place | null): Place | null {
  return place && [place[0], place[1] - (place[1] % PIECE)];
}

function isBehind([position, swap]: Place, [thatPosition, thatSwap]: Place): boolean {
  return position > thatPosition || (position === thatPosition && swap > thatSwap);
}

const LIST = 'sweep_trials';

function cursorOf([position, swap]: Place): string {
  return sealCursor(JSON.stringify([LIST, position, swap]));
}

/** @throws AppError INVALID_INPUT for anything that this list did not hand out. */
function readCursor(cursor: string | null | undefined, argument: string): Place | null {
  if (cursor == null) return null;
  const match = /^\["sweep_trials",(\d{1,9}),(\d{1,9})\]$/.exec(openCursor(cursor) ?? '');
  if (match) return [Number(match[1]), Number(match[2])];
  throw invalidInput(
    [argument],
    `${argument} is not a cursor of this list: pass a cursor that it returned, unchanged`,
  );
}
