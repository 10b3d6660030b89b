/** When runs came from one phase to the next. */
import { inArray, sql } from 'drizzle-orm';
import type { Phase } from '../../engine/contract/phases.ts';
import type { Executor } from '../client.ts';
import { runEvents } from '../tables/index.ts';

export type PhaseChange = {
  runId: string;
  phase: Phase;
  at: Date;
};

/** Every change of phase of these runs, in the order of events; a run's status tells its phase many times over. */
export async function readPhaseChanges(db: Executor, runIds: readonly string[]): Promise<PhaseChange[]> {
  const { rows } = await db.execute<{ runId: string; phase: Phase; at: string }>(sql`
    select run_id as "runId", phase, at from (
      select run_id, seq, at, payload->>'phase' as phase,
        lag(payload->>'phase') over (partition by run_id order by seq) as before
      from ${runEvents} where ${inArray(runEvents.runId, [...runIds])} and type = 'STATUS'
    ) told
    where phase is distinct from before
    order by run_id, seq`);
  return rows.map((row) => ({ ...row, at: new Date(row.at) }));
}
