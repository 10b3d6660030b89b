/** Runs by their kind, which says what their settings and their result are. */
import {
  completeSettings,
  ENGINE_KINDS,
  type EngineRunKind,
  type RunKind,
  type RunResults,
  type RunSettings,
} from '../../engine/contract/runs.ts';
import type { Run } from './runChange.ts';

/** A run of this kind, or of one of these. */
export type RunOf<K extends RunKind> = Omit<Run, 'kind' | 'settings' | 'result'> & {
  kind: K;
  settings: RunSettings[K];
  /** Null before its end, and of kinds whose results all have tables. */
  result: RunResults[K] | null;
};

export function isOfKind<K extends RunKind>(run: Run, ...kinds: readonly K[]): run is Run & RunOf<K> {
  return (kinds as readonly RunKind[]).includes(run.kind);
}

/** The run, if an engine works on such. @throws Error of a run that follows its parts: a fault of the caller's. */
export function asEngineRun(run: Run): Run & RunOf<EngineRunKind> {
  if (isOfKind(run, ...ENGINE_KINDS)) return { ...run, settings: completeSettings(run.kind, run.settings) };
  throw new Error(`run ${run.id} of kind ${run.kind} has no job of its own`);
}

/** What a run of this kind (or of one of these) is set to. @throws Error of any other run: a fault of the caller's. */
export function settingsOf<K extends RunKind>(run: Run, ...kinds: readonly K[]): RunSettings[K] {
  const { kind, settings } = ofKind(run, kinds);
  return completeSettings(kind, settings);
}

/** What such a run has noted at its end; null before. @throws Error of any other run. */
export function resultOf<K extends RunKind>(run: Run, ...kinds: readonly K[]): RunResults[K] | null {
  return ofKind(run, kinds).result;
}

function ofKind<K extends RunKind>(run: Run, kinds: readonly K[]): RunOf<K> {
  if (isOfKind(run, ...kinds)) return run;
  throw new Error(`run ${run.id} is of kind ${run.kind}, not ${kinds.join(' or ')}`);
}
