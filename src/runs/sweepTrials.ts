/** Swaps of a sweep one by one, where it keeps them. */
import { sql } from 'drizzle-orm';
import type { Executor } from '../db/client.ts';
import type { Page, PageArgs } from '../db/queries/page.ts';
import type { Run } from '../db/queries/runs.ts';
import { readTrials, type SweepTrial, type TrialFilter } from '../db/queries/sweepTrials.ts';
import { SWAP_OUTCOMES } from '../engine/contract/sweepTrials.ts';
import { findConcept, readConcepts } from './concepts.ts';
import { booleans, conceptsOf, json, numbers, type ResultTable, texts } from './table.ts';

export type { SweepTrial } from '../db/queries/sweepTrials.ts';

/** Concepts by key or id. */
export type AskedTrials = Omit<TrialFilter, 'source' | 'target'> & {
  source: string | null;
  target: string | null;
};

/**
 * One page of those that fit, cell by cell in the order of work; none where the sweep does not keep them.
 * @throws AppError INVALID_INPUT for an unknown concept, and as `readTrials` does.
 */
export async function pageTrials(
  db: Executor,
  run: Run,
  { source, target, ...filter }: AskedTrials,
  args: PageArgs,
): Promise<Page<SweepTrial>> {
  const concepts = source === null && target === null ? [] : await readConcepts(db, run);
  const positionOf = (concept: string | null, name: string) =>
    concept === null ? null : findConcept(concepts, concept, ['filter', name]).position;
  return readTrials(
    db,
    run.id,
    { ...filter, source: positionOf(source, 'source'), target: positionOf(target, 'target') },
    args,
  );
}

export const trials: ResultTable = {
  description:
    'Every swap by itself, where the sweep keeps them: what was asked, the answers, and how they are judged.',
  columns: {
    ...numbers('position'),
    ...texts('edited method'),
    ...numbers('alpha swap'),
    ...texts('prompt entity source target'),
    ...json('expected'),
    ...texts('before after outcome'),
    ...booleans('known'),
  },
  key: ['position', 'swap'],
  rows: (runIds) => sql`
    select a.position, c.edited, c.method, c.alpha, a.start + o.i - 1 as swap, e.prompt, e.entity,
      s.key as source, t.key as target, w.expected -> (o.i - 1)::int as expected, o.before,
      a.answers[o.place] as after, (array[${sql.join(
        SWAP_OUTCOMES.map((outcome) => sql`${outcome}`),
        sql`, `,
      )}]::text[])[o.outcome + 1] as outcome, o.known
    from sweep_answers a
      join sweep_cells c on c.run_id = a.run_id and c.position = a.position
      join sweep_swaps w on w.run_id = a.run_id and w.start = a.start
      cross join unnest(a.places, a.outcomes, w.example_ids, w.sources, w.targets, w.before, w.known)
        with ordinality o (place, outcome, example_id, source, target, before, known, i)
      join examples e on e.id = o.example_id
      join ${conceptsOf(runIds)} s on s.run_id = a.run_id and s.position = o.source
      join ${conceptsOf(runIds)} t on t.run_id = a.run_id and t.position = o.target
    where a.run_id in ${runIds} and o.place is not null`,
};
