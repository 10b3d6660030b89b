/** The curves of a run: a group for each prefix of their names, small figures side by side under one cursor. */
import { type ReadonlySignal, type Signal, useSignal } from '@preact/signals';
import type { RunStatus } from '../api/documents.ts';
import { Lines } from '../charts/lines.tsx';
import { words } from '../format.ts';
import { isOver } from '../parts/run.tsx';
import { type Curves, smooth } from '../state/curves.ts';

interface Group {
  prefix: string;
  names: string[];
}

/** `loss` and `loss/bind` are of one group; what stands alone is in the last. */
function groupsOf(names: readonly string[]): Group[] {
  const groups = new Map<string, string[]>();
  const prefixes = new Set(names.filter((name) => name.includes('/')).map((name) => name.split('/')[0]!));
  for (const name of names) {
    const prefix = name.split('/')[0]!;
    const key = prefixes.has(prefix) ? prefix : '';
    groups.set(key, [...(groups.get(key) ?? []), name]);
  }
  return [...groups].map(([prefix, of]) => ({ prefix, names: of })).sort((a, b) => order(a) - order(b));
}

const order = ({ prefix }: Group) => (prefix === 'loss' ? 0 : prefix === '' ? 2 : 1);

/** Shares of one kind are read together, in one figure. */
const TOGETHER = new Set(['accuracy']);

export function CurveGroups({ curves, run }: { curves: Curves; run: { status: RunStatus } }) {
  const weight = useSignal(0);
  const isLog = useSignal(false);
  const range = useSignal<[number, number] | null>(null);
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
        {range.value && (
          <button type="button" class="small" onClick={() => (range.value = null)}>
            Steps {range.value[0]}–{range.value[1]}: show all
          </button>
        )}
      </div>
      {groupsOf(names).map(({ prefix, names: own }) => (
        <div key={prefix}>
          <h3>{prefix === '' ? 'Other' : words(prefix)}</h3>
          <div class="small-multiples">
            {(TOGETHER.has(prefix) ? [own] : own.map((name) => [name])).map((of) => (
              <Figure key={of.join()} {...{ curves, names: of, prefix, weight, isLog, range }} />
            ))}
          </div>
        </div>
      ))}
    </section>
  );
}

interface FigureProps {
  curves: Curves;
  names: string[];
  prefix: string;
  weight: ReadonlySignal<number>;
  isLog: ReadonlySignal<boolean>;
  range: Signal<[number, number] | null>;
}

function Figure({ curves, names, prefix, weight, isLog, range }: FigureProps) {
  curves.version.value;
  const short = (name: string) => name.slice(name.indexOf('/') + 1);
  const lines = () =>
    names.map((name) => {
      const { steps, values } = curves.get(name);
      const label = names.length > 1 ? short(name) : name;
      return {
        label,
        steps,
        values,
        ...(weight.value > 0 ? { smoothed: smooth(values, weight.value) } : {}),
      };
    });
  return (
    <Lines
      title={names.length > 1 ? words(prefix) : names[0]!}
      lines={lines}
      isLog={isLog.value}
      range={range.value}
      onRange={(next) => {
        range.value = next;
      }}
      sync="run"
    />
  );
}
