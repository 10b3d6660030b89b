/** Small pieces that say how a run is. */
import type { RunStatus } from '../api/documents.ts';
import { duration, shortId, words } from '../format.ts';

const SIGNS: Record<RunStatus, string> = {
  QUEUED: '◌',
  RUNNING: '▸',
  SUCCEEDED: '✓',
  FAILED: '✕',
  CANCELLED: '–',
};

/** Says it with a sign and a word, never with colour alone. */
export function Status({ status }: { status: RunStatus }) {
  return (
    <span class={`status ${status.toLowerCase()}`}>
      <span aria-hidden="true">{SIGNS[status]}</span> {words(status)}
    </span>
  );
}

export function Progress({ value, label }: { value: number; label: string }) {
  return (
    <progress class="bar" max={1} value={value} aria-label={label}>
      {Math.round(value * 100)}%
    </progress>
  );
}

export function isOver(status: RunStatus): boolean {
  return status === 'SUCCEEDED' || status === 'FAILED' || status === 'CANCELLED';
}

export interface Timed {
  startedAt: string | null;
  finishedAt: string | null;
  etaSeconds: number | null;
  status: RunStatus;
}

/** What is left of it, or how long it took. */
export function timing(run: Timed, now: number): string {
  if (run.status === 'QUEUED' || run.startedAt === null) return '–';
  if (!isOver(run.status)) return run.etaSeconds === null ? '…' : `${duration(run.etaSeconds)} left`;
  return duration(
    (Date.parse(run.finishedAt ?? new Date(now).toISOString()) - Date.parse(run.startedAt)) / 1000,
  );
}

/** What people called it, or its kind and the start of its id. */
export function nameOf(run: { name: string | null; kind: string; id: string }): string {
  return run.name ?? `${words(run.kind)} ${shortId(run.id)}`;
}
