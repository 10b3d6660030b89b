/** The phases of a run: those that it came through, and those that lie before it. */
import type { Executor } from '../db/client.ts';
import { groupRows } from '../db/queries/byIds.ts';
import { type PhaseChange, readPhaseChanges } from '../db/queries/phases.ts';
import { resultOf } from '../db/queries/runOf.ts';
import type { Run } from '../db/queries/runs.ts';
import { IDLE_PHASES, type Phase, type PlannedPhase, plannedPhases } from '../engine/contract/phases.ts';
import { completeSettings } from '../engine/contract/runs.ts';

export interface RunPhase {
  name: Phase;
  /** Of its training steps; null where it has none. */
  fromStep: number | null;
  toStep: number | null;
  /** When it was first come to; null where that is to come. */
  startedAt: Date | null;
  /** When it was last left; null while the run is in it, and before. */
  finishedAt: Date | null;
}

/** For each run its changes of phase, in order. */
export async function phaseChangesOfRuns(db: Executor, ids: readonly string[]): Promise<PhaseChange[][]> {
  const changes = groupRows(await readPhaseChanges(db, ids), 'runId');
  return ids.map((id) => changes.get(id) ?? []);
}

/** Phases in the order in which they were come to, then those of the plan that are to come. */
export function phasesOf(run: Run, changes: readonly PhaseChange[]): RunPhase[] {
  const plan = planOf(run);
  const phases = new Map<Phase, RunPhase>();
  for (const [i, { phase, at }] of changes.entries()) {
    if (IDLE_PHASES.includes(phase)) continue;
    const left = changes[i + 1]?.at ?? run.finishedAt;
    const known = phases.get(phase) ?? { ...bare(phase, plan), startedAt: at };
    phases.set(phase, { ...known, finishedAt: left });
  }
  for (const { name } of plan) if (!phases.has(name)) phases.set(name, bare(name, plan));
  return [...phases.values()];
}

function bare(name: Phase, plan: readonly PlannedPhase[]): RunPhase {
  const steps = plan.find((planned) => planned.name === name)?.steps;
  return {
    ...{ name, fromStep: steps?.from ?? null, toStep: steps?.to ?? null },
    ...{ startedAt: null, finishedAt: null },
  };
}

/** A training that was ended by the stop rule has no more steps than it made. */
function planOf(run: Run): PlannedPhase[] {
  const plan = plannedPhases(run.kind, completeSettings(run.kind, run.settings));
  const result = run.kind === 'MODEL' ? resultOf(run, 'MODEL') : null;
  if (!result || !('stoppedAt' in result)) return plan;
  const { stoppedAt } = result;
  return plan.map(({ name, steps }) => ({
    name,
    steps: steps && { from: steps.from, to: Math.min(steps.to, stoppedAt) },
  }));
}
