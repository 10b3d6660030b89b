/** An alignment repeated over layers: where concepts can be read, and where they can be swapped. */
import { useEffect } from 'preact/hooks';
import { Layers as LayersDocument, type LayersQuery, type Split } from '../api/documents.ts';
import { RateCurves } from '../charts/curve.tsx';
import { Matrix } from '../charts/matrix.tsx';
import { number } from '../format.ts';
import { Choice, SPLITS } from '../parts/choice.tsx';
import { Rate, rateText } from '../parts/rate.tsx';
import { isOver, Status } from '../parts/run.tsx';
import { RunFrame } from '../parts/runFrame.tsx';
import { Empty, Failed, Waiting } from '../parts/states.tsx';
import { navigate, query, setQuery } from '../router.ts';
import { useQuery } from '../state/query.ts';

type Sweep = Extract<NonNullable<LayersQuery['run']>, { layers: unknown }>;

const REFRESH_MS = 3_000;

export function Layers({ id }: { id: string }) {
  const split = (query.value.get('split') ?? 'TEST_OOD') as Split;
  const { data, error, again } = useQuery(LayersDocument, { id, split });
  const isBusy = data?.run && !isOver(data.run.status);
  useEffect(() => {
    if (!isBusy) return;
    const timer = setInterval(() => !document.hidden && void again(), REFRESH_MS);
    return () => clearInterval(timer);
  }, [isBusy]);
  if (!data) return <Waiting what="Loading the sweep" error={error} again={again} />;
  const { run } = data;
  if (!run) return <Failed isWhole title="There is no such run" message="It may have been deleted." />;
  return (
    <RunFrame what="Layers of" run={run}>
      {'layers' in run ? (
        <>
          <Choice
            label="Prompts"
            options={SPLITS}
            value={split}
            onChange={(next) => setQuery({ split: next })}
          />
          <Curves sweep={run} />
          <Alphas sweep={run} />
          <Parts sweep={run} />
        </>
      ) : (
        <Empty title="This run is no sweep over layers" />
      )}
    </RunFrame>
  );
}

type Row = Sweep['bindingByLayer'][number];

/** What a sweep varies beside layers and seeds, as the row has it; empty where it varies nothing else. */
function variant({ settings }: Pick<Row, 'settings'>): string {
  return settings.map(({ key, value }) => `${key.split('.').at(-1)} ${value}`).join(', ');
}

function Curves({ sweep }: { sweep: Sweep }) {
  // The rows without a seed are those over all seeds of a layer.
  const binding = sweep.bindingByLayer.filter(({ seed }) => seed === null);
  const swaps = sweep.swapSuccessByLayer.filter(({ seed }) => seed === null);
  const variants = [...new Set(binding.map(variant))];
  const of = <R extends Pick<Row, 'settings'>>(name: string, rows: readonly R[]) =>
    rows.filter((row) => variant(row) === name);
  const label = (what: string, name: string) => (name === '' ? what : `${what}; ${name}`);
  const curves = variants
    .flatMap((name) => [
      {
        label: label('Binding', name),
        points: of(name, binding).map(({ layer, rate }) => ({ x: layer, rate })),
      },
      {
        label: label('Swap success, unseen entities', name),
        points: of(name, swaps).map(({ layer, rate }) => ({ x: layer, rate })),
      },
      {
        label: label('Random latents', name),
        points: of(name, swaps).flatMap(({ layer, random }) => (random ? [{ x: layer, rate: random }] : [])),
      },
    ])
    .filter(({ points }) => points.length > 0);
  if (curves.length === 0) return <Empty title="No part has succeeded yet" />;
  return <RateCurves title="By layer, with 95% intervals" xLabel="layer" yLabel="share" curves={curves} />;
}

/** On the entities that chose alpha, over the seeds of a layer. */
function Alphas({ sweep }: { sweep: Sweep }) {
  const measured = sweep.onValidation.length > 0 ? sweep.onValidation : sweep.onTraining;
  const rows = measured.filter(({ seed }) => seed === null);
  const nameOf = (row: (typeof rows)[number]) => [row.layer, variant(row)].filter((x) => x !== '').join('; ');
  const names = [...new Set(rows.map(nameOf))];
  const alphas = [...new Set(rows.map(({ alpha }) => alpha!))].sort((a, b) => a - b);
  if (names.length === 0) return null;
  const rateAt = (i: number, j: number) =>
    rows.find((row) => nameOf(row) === names[i] && row.alpha === alphas[j])?.rate;
  return (
    <section>
      <h2>Swap success by alpha and layer, entities that chose alpha</h2>
      <Matrix
        title="Swap success by alpha and layer"
        rowsAre="Layer"
        columnsAre="alpha"
        rows={names}
        columns={alphas.map((alpha) => number(alpha))}
        values={names.map((_, i) => alphas.map((_, j) => rateAt(i, j)?.value ?? null))}
        describe={(i, j) => {
          const rate = rateAt(i, j);
          return `Layer ${names[i]}, alpha ${number(alphas[j]!)}: ${rate ? rateText(rate) : 'not measured'}.`;
        }}
      />
    </section>
  );
}

function Parts({ sweep }: { sweep: Sweep }) {
  return (
    <section>
      <h2>Parts</h2>
      <table>
        <thead>
          <tr>
            <th scope="col">Layer</th>
            <th scope="col">Seed</th>
            <th scope="col">State</th>
            <th scope="col">Binding</th>
            <th scope="col">Swaps</th>
          </tr>
        </thead>
        <tbody>
          {sweep.parts.edges.map(({ node: part }) => {
            const binding = sweep.bindingByLayer.find(({ run }) => run?.id === part.id)?.rate;
            const swap = sweep.swapSuccessByLayer.find(({ run }) => run?.id === part.id)?.rate;
            return (
              <tr key={part.id}>
                <th scope="row">
                  <button
                    type="button"
                    class="link"
                    onClick={() => navigate(`/app/runs/${encodeURIComponent(part.id)}/binding`)}
                  >
                    {part.layer}
                  </button>
                </th>
                <td>{part.seed}</td>
                <td>
                  <Status status={part.status} />
                </td>
                <td title={binding && rateText(binding)}>{binding ? <Rate rate={binding} /> : '–'}</td>
                <td title={swap && rateText(swap)}>{swap ? <Rate rate={swap} /> : '–'}</td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </section>
  );
}
