/** The parts of a run's work in order: those it came through, the one it is in, those to come. */
import type { RunHeadFragment } from '../api/documents.ts';
import { duration, words } from '../format.ts';
import { isOver } from './run.tsx';

type Phase = RunHeadFragment['phases'][number];
type Place = 'done' | 'here' | 'stopped' | 'ahead';

const SIGNS: Record<Place, string> = { done: '✓', here: '▸', stopped: '✕', ahead: '◌' };
const SAYS: Record<Place, string> = { done: 'done', here: 'now', stopped: 'ended here', ahead: 'to come' };

export function Phases({ run, now }: { run: RunHeadFragment; now: number }) {
  if (run.phases.length < 2) return null;
  return (
    <ol class="phases" aria-label="Phases">
      {run.phases.map((phase) => {
        const place = placeOf(phase, run);
        return (
          <li key={phase.name} class={place} aria-current={place === 'here' ? 'step' : undefined}>
            <span aria-hidden="true">{SIGNS[place]}</span> {words(phase.name)}
            <span class="hidden">, {SAYS[place]}</span>{' '}
            <small class="figure">{textOf(phase, place, now)}</small>
          </li>
        );
      })}
    </ol>
  );
}

function placeOf({ name, startedAt, finishedAt }: Phase, run: RunHeadFragment): Place {
  if (run.status === 'SUCCEEDED') return 'done';
  if (name === run.phase) return isOver(run.status) ? 'stopped' : 'here';
  return startedAt !== null && finishedAt !== null ? 'done' : 'ahead';
}

/** How long it took, or which steps it has. */
function textOf({ fromStep, toStep, startedAt, finishedAt }: Phase, place: Place, now: number): string {
  const steps = fromStep === null || toStep === null ? '' : `steps ${fromStep}–${toStep}`;
  if (startedAt === null || place === 'ahead') return steps;
  const until = finishedAt === null ? now : Date.parse(finishedAt);
  const took = duration(Math.max(0, until - Date.parse(startedAt)) / 1000);
  return [steps, place === 'here' ? '' : took].filter(Boolean).join(', ');
}
