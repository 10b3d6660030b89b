/** The curves of a run: a group for each prefix of their names, small figures side by side under one cursor. */
import { type ReadonlySignal, useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import type { RunHeadFragment } from '../api/documents.ts';
import { Lines } from '../charts/lines.tsx';
import { words } from '../format.ts';
import { isOver } from '../parts/run.tsx';
import { query, setQuery } from '../router.ts';
import { type About, type Curves, type Stretch, smooth } from '../state/curves.ts';
import type { LiveRun } from '../state/run.ts';

interface Group {
  title: string;
  /** The metrics of each figure. */
  figures: About[][];
}

/** What the server puts into one group; the loss first, and last what stands alone in its own. */
function groupsOf(names: readonly string[], about: ReadonlyMap<string, About>): Group[] {
  const groups = new Map<string, About[]>();
  for (const name of names) {
    const metric = about.get(name);
    // One that has only just appeared is drawn as soon as it is known what it is.
    if (metric) groups.set(metric.group, [...(groups.get(metric.group) ?? []), metric]);
  }
  const all = [...groups].map(([title, metrics]) => ({ title, figures: figuresOf(title, metrics) }));
  const large = all.filter(({ title, figures }) => figures.length > 1 || title === 'loss');
  const single = all.filter((group) => !large.includes(group)).flatMap(({ figures }) => figures);
  return [
    ...large.sort((a, b) => Number(b.title === 'loss') - Number(a.title === 'loss')),
    ...(single.length > 0 ? [{ title: large.length > 0 ? 'more' : 'measured', figures: single }] : []),
  ];
}

function figuresOf(group: string, metrics: About[]): About[][] {
  return TOGETHER.has(group) ? [metrics] : metrics.map((metric) => [metric]);
}

/** Shares of one kind are read together, in one figure. */
const TOGETHER = new Set(['accuracy', 'binding by concept']);

/** The steps that the address says, such as `200-400`. */
function stretchIn(text: string | null): Stretch | null {
  const [, from, to] = /^(\d{1,9})-(\d{1,9})$/.exec(text ?? '') ?? [];
  return from !== undefined && Number(from) < Number(to) ? [Number(from), Number(to)] : null;
}

export function CurveGroups({ live, run }: { live: LiveRun; run: RunHeadFragment }) {
  const { curves } = live;
  const weight = useSignal(0);
  const isLog = useSignal(false);
  const steps = query.value.get('steps');
  useEffect(() => void live.look(stretchIn(steps)), [live, steps]);
  const stretch = curves.stretch.value;
  const marks = run.phases.flatMap(({ name, fromStep }) =>
    fromStep !== null && fromStep > 1 ? [{ step: fromStep, label: words(name) }] : [],
  );
  const names = curves.names.value;
  if (names.length === 0)
    return isOver(run.status) ? null : <p class="quiet pad">Its curves appear with its first steps.</p>;
  return (
    <section>
      <div class="tools">
        <h2>Curves</h2>
        <label>
          Smoothing{' '}
          <input
            type="range"
            min="0"
            max="0.99"
            step="0.01"
            value={weight.value}
            onInput={(event) => {
              weight.value = Number(event.currentTarget.value);
            }}
          />{' '}
          <output class="figure">{weight.value.toFixed(2)}</output>
        </label>
        <label>
          <input
            type="checkbox"
            checked={isLog.value}
            onChange={(event) => {
              isLog.value = event.currentTarget.checked;
            }}
          />{' '}
          Logarithmic
        </label>
        {stretch ? (
          <button type="button" class="small" onClick={() => setQuery({ steps: null })}>
            Steps {stretch[0]}–{stretch[1]}: show all
          </button>
        ) : (
          <span class="quiet">Drag over a curve to look closer.</span>
        )}
      </div>
      {groupsOf(names, curves.about.value).map(({ title, figures }) => (
        <div key={title}>
          <h3>{words(title)}</h3>
          <div class="small-multiples">
            {figures.map((of) => (
              <Figure
                key={of.map(({ name }) => name).join()}
                {...{ curves, metrics: of, weight, isLog, marks }}
              />
            ))}
          </div>
        </div>
      ))}
    </section>
  );
}

interface FigureProps {
  curves: Curves;
  metrics: About[];
  weight: ReadonlySignal<number>;
  isLog: ReadonlySignal<boolean>;
  marks: readonly { step: number; label: string }[];
}

const DIRECTIONS = { LOWER: 'lower is better', HIGHER: 'higher is better' };

function Figure({ curves, metrics, weight, isLog, marks }: FigureProps) {
  curves.version.value;
  const [first] = metrics;
  const lines = () =>
    metrics.map(({ name, label }) => {
      const { steps, values } = curves.get(name);
      return {
        label,
        steps,
        values,
        ...(weight.value > 0 ? { smoothed: smooth(values, weight.value) } : {}),
      };
    });
  const { unit, better } = first!;
  return (
    <Lines
      title={metrics.length > 1 ? words(first!.group) : first!.label}
      unit={[unit, better && DIRECTIONS[better]].filter(Boolean).join(', ')}
      lines={lines}
      isLog={isLog.value}
      range={curves.stretch.value}
      marks={marks}
      onRange={(next) => setQuery({ steps: next ? next.map((step) => Math.max(0, step)).join('-') : null })}
      sync="run"
    />
  );
}
