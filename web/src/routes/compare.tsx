/** Runs side by side: where their settings differ, what was measured of each, their curves over one another. */
import { useSignal } from '@preact/signals';
import { Compare as CompareDocument, type CompareQuery } from '../api/documents.ts';
import { Forest } from '../charts/forest.tsx';
import { Lines } from '../charts/lines.tsx';
import { number, words } from '../format.ts';
import { nameOf, Status } from '../parts/run.tsx';
import { Scroll } from '../parts/scroll.tsx';
import { Empty, Waiting } from '../parts/states.tsx';
import { query } from '../router.ts';
import { useQuery } from '../state/query.ts';

type Comparison = CompareQuery['compareRuns'];

export function Compare() {
  const ids = (query.value.get('ids') ?? '').split(',').filter(Boolean);
  const { data, error, again } = useQuery(CompareDocument, ids.length < 2 ? null : { ids });
  if (ids.length < 2)
    return (
      <>
        <h1>Compare runs</h1>
        <Empty title="Choose two runs or more">
          <p>
            Mark them in the <a href="/app">list of runs</a>, then press Compare.
          </p>
        </Empty>
      </>
    );
  if (!data) return <Waiting what="Comparing" error={error} again={again} />;
  const { runs, settings, measures } = data.compareRuns;
  const names = runs.map((run, i) => `${String.fromCharCode(65 + (i % 26))} ${nameOf(run)}`);
  return (
    <>
      <h1>Compare {runs.length} runs</h1>
      <Settings runs={runs} names={names} settings={settings} />
      <Measures names={names} measures={measures} />
      <Overlays runs={runs} names={names} />
    </>
  );
}

function Settings({
  runs,
  names,
  settings,
}: {
  runs: Comparison['runs'];
  names: string[];
  settings: Comparison['settings'];
}) {
  const isCommon = ({ values }: { values: (string | null)[] }) =>
    values.filter((value) => value !== null).length > 1;
  const common = settings.filter(isCommon);
  const ofSome = settings.filter((setting) => !isCommon(setting));
  return (
    <section>
      <h2>Settings that differ</h2>
      {common.length === 0 ? (
        <p class="quiet">
          {settings.length === 0 ? 'None: they were started alike.' : 'None of those that both kinds have.'}
        </p>
      ) : (
        <SettingsTable label="Settings that differ" runs={runs} names={names} settings={common} />
      )}
      {ofSome.length > 0 && (
        <details>
          <summary>{ofSome.length} settings that only one of them has</summary>
          <SettingsTable label="Settings of one" runs={runs} names={names} settings={ofSome} />
        </details>
      )}
    </section>
  );
}

function SettingsTable({
  label,
  runs,
  names,
  settings,
}: {
  label: string;
  runs: Comparison['runs'];
  names: string[];
  settings: Comparison['settings'];
}) {
  return (
    <Scroll label={label}>
      <table>
        <thead>
          <tr>
            <th scope="col">Setting</th>
            {runs.map((run, i) => (
              <th scope="col" key={run.id}>
                <a href={`/app/runs/${encodeURIComponent(run.id)}`}>{names[i]}</a>{' '}
                <Status status={run.status} />
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {settings.map(({ path, values }) => (
            <tr key={path}>
              <th scope="row">
                <code>{path}</code>
              </th>
              {values.map((value, i) => (
                <td key={names[i]}>{value === null ? <span class="quiet">–</span> : plain(value)}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}

/** JSON as people write it. */
function plain(json: string): string {
  const value: unknown = JSON.parse(json);
  if (typeof value === 'number') return number(value, 6);
  return typeof value === 'string' ? value : json;
}

function Measures({ names, measures }: { names: string[]; measures: Comparison['measures'] }) {
  const isAll = useSignal(false);
  const shared = measures.filter(({ values }) => values.filter((value) => value !== null).length > 1);
  const main = shared.filter(({ split }) => split === 'TEST_OOD' || split === null);
  const shown = isAll.value ? measures : main.length > 0 ? main : shared;
  if (measures.length === 0) return <Empty title="Nothing was measured of these runs" />;
  return (
    <section>
      <div class="tools">
        <h2>Measures</h2>
        <label>
          <input
            type="checkbox"
            checked={isAll.value}
            onChange={(event) => {
              isAll.value = event.currentTarget.checked;
            }}
          />{' '}
          all splits, and those of one run alone
        </label>
      </div>
      <Forest
        names={names}
        rows={shown.map(({ name, split, of, values }) => ({
          label: [words(name), split && words(split), ...of.map((detail) => words(detail.value))]
            .filter(Boolean)
            .join(' · '),
          values: values.map((value) =>
            value === null ? null : { value: value.value, rate: value.rate, alpha: value.alpha },
          ),
        }))}
      />
    </section>
  );
}

function Overlays({ runs, names }: { runs: Comparison['runs']; names: string[] }) {
  const labels = new Map(runs.flatMap((run) => run.metrics.map(({ name, metric }) => [name, metric.label])));
  const metrics = [...labels.keys()].sort();
  return (
    <section>
      <h2>Curves</h2>
      <div class="small-multiples">
        {metrics.map((metric) => (
          <Lines
            key={metric}
            title={labels.get(metric)!}
            unit={labels.get(metric) === metric ? '' : metric}
            sync="compare"
            lines={() =>
              runs.flatMap((run, i) => {
                const series = run.metrics.find(({ name }) => name === metric);
                if (!series) return [];
                const steps = series.points.map(({ step }) => step);
                return [{ label: names[i]!, steps, values: series.points.map(({ value }) => value) }];
              })
            }
          />
        ))}
      </div>
    </section>
  );
}
