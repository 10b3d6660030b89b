/** The table of runs: a row each, which can be marked, compared and cancelled. */
import { type Signal, useSignal } from '@preact/signals';
import { CancelRun, type RunRowFragment } from '../api/documents.ts';
import { request } from '../api/graphql.ts';
import { Spark } from '../charts/spark.tsx';
import { ago, words } from '../format.ts';
import { isOver, nameOf, Progress, Status, timing } from '../parts/run.tsx';
import { changedText } from '../parts/settings.tsx';
import { navigate, setQuery } from '../router.ts';
import { now } from '../state/query.ts';
import type { SparkPoint } from '../state/runs.ts';

export interface RunTableProps {
  rows: readonly RunRowFragment[];
  /** By run: its main metric over its steps. */
  sparks: ReadonlyMap<string, readonly SparkPoint[]>;
  marked: Signal<readonly string[]>;
  again(): void;
}

export function RunTable({ rows, sparks, marked, again }: RunTableProps) {
  const mark = (id: string, isOn: boolean) => {
    marked.value = [...marked.peek().filter((other) => other !== id), ...(isOn ? [id] : [])];
  };
  return (
    <div class="scroll">
      {marked.value.length > 0 && (
        <p class="tools">
          <button
            type="button"
            class="primary small"
            disabled={marked.value.length < 2}
            onClick={() => navigate(`/app/compare?ids=${marked.value.map(encodeURIComponent).join(',')}`)}
          >
            Compare {marked.value.length}
          </button>
          {marked.value.length < 2 && <span class="quiet">Mark another run to compare them.</span>}
        </p>
      )}
      <table class="runs">
        <thead>
          <tr>
            <th scope="col">
              <span class="hidden">Compare</span>
            </th>
            <th scope="col">Run</th>
            <th scope="col">Kind</th>
            <th scope="col">Of</th>
            <th scope="col">State</th>
            <th scope="col">Progress</th>
            <th scope="col">Main metric</th>
            <th scope="col">Time</th>
            <th scope="col">Started</th>
            <th scope="col">
              <span class="hidden">Actions</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {rows.map((run) => (
            <Row
              key={run.id}
              run={run}
              spark={sparks.get(run.id) ?? []}
              again={again}
              isMarked={marked.value.includes(run.id)}
              mark={mark}
            />
          ))}
        </tbody>
      </table>
    </div>
  );
}

interface RowProps {
  run: RunRowFragment;
  spark: readonly SparkPoint[];
  again(): void;
  isMarked: boolean;
  mark(id: string, isOn: boolean): void;
}

function Row({ run, spark, again, isMarked, mark }: RowProps) {
  const name = nameOf(run);
  const changed = changedText(run.changedSettings);
  const { mainMetric } = run;
  return (
    <tr>
      <td class="check">
        <input
          type="checkbox"
          aria-label={`Compare ${name}`}
          checked={isMarked}
          onChange={(event) => mark(run.id, event.currentTarget.checked)}
        />
      </td>
      <th scope="row">
        <a href={`/app/runs/${encodeURIComponent(run.id)}`}>{name}</a>{' '}
        {run.tags.map((tag) => (
          <button type="button" class="tag" key={tag} onClick={() => setQuery({ tag })}>
            {tag}
          </button>
        ))}
        {changed && (
          <div class="changed" title={changed}>
            {changed}
          </div>
        )}
        {run.error && <div class="fault">{run.error.message}</div>}
      </th>
      <td>{words(run.kind)}</td>
      <td class="quiet of">
        {run.model?.name && <div>{run.model.name}</div>}
        <a href={`/app/datasets/${encodeURIComponent(run.dataset.id)}`}>{run.dataset.name}</a>
      </td>
      <td>
        <Status status={run.status} />
      </td>
      <td>
        {isOver(run.status) ? null : (
          <>
            <Progress value={run.progress} label={`Progress of ${name}`} />{' '}
            <span class="quiet">{words(run.phase)}</span>
          </>
        )}
      </td>
      <td>
        {mainMetric && <Spark label={mainMetric.metric.label} points={spark} last={mainMetric.value} />}
      </td>
      <td class="figure">{timing(run, now.value)}</td>
      <td class="quiet">{ago(run.createdAt, now.value)}</td>
      <td>{!isOver(run.status) && <Cancel id={run.id} name={name} done={again} />}</td>
    </tr>
  );
}

export function Cancel({ id, name, done }: { id: string; name: string; done(): void }) {
  const fault = useSignal('');
  const cancel = async () => {
    try {
      const { cancelRun } = await request(CancelRun, { input: { id } });
      if ('message' in cancelRun) fault.value = cancelRun.message;
      done();
    } catch (error) {
      fault.value = (error as Error).message;
    }
  };
  return (
    <>
      <button type="button" class="small" onClick={cancel} aria-label={`Cancel ${name}`}>
        Cancel
      </button>
      {fault.value && (
        <span class="fault" role="alert">
          {fault.value}
        </span>
      )}
    </>
  );
}
