/** All runs, live: what each does, how far it is, how long it will take. */
import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { CancelRun, type RunRowFragment, Runs as RunsDocument } from '../api/documents.ts';
import { request } from '../api/graphql.ts';
import { ago, words } from '../format.ts';
import { isOver, nameOf, Progress, Status, timing } from '../parts/run.tsx';
import { Empty, Failed, Loading } from '../parts/states.tsx';
import { now, useQuery } from '../state/query.ts';

const PAGE = 50;
const REFRESH_MS = 2_000;

export function Runs() {
  const { data, error, again } = useQuery(RunsDocument, { first: PAGE, filter: { isPart: false } });
  const isBusy = data?.runs.edges.some(({ node }) => !isOver(node.status));
  useEffect(() => {
    if (!isBusy) return;
    const timer = setInterval(() => !document.hidden && void again(), REFRESH_MS);
    return () => clearInterval(timer);
  }, [isBusy]);
  if (!data)
    return error ? <Failed message={error.message} again={again} /> : <Loading what="Loading runs" />;
  const { edges, totalCount } = data.runs;
  return (
    <>
      <div class="title">
        <h1>Runs</h1>
        <span class="quiet">{totalCount}</span>
      </div>
      {edges.length === 0 ? (
        <Empty title="No runs yet" />
      ) : (
        <Table rows={edges.map(({ node }) => node)} again={again} />
      )}
    </>
  );
}

function Table({ rows, again }: { rows: RunRowFragment[]; again(): void }) {
  return (
    <div class="scroll">
      <table class="runs">
        <thead>
          <tr>
            <th scope="col">Run</th>
            <th scope="col">Kind</th>
            <th scope="col">State</th>
            <th scope="col">Progress</th>
            <th scope="col">Time</th>
            <th scope="col">Started</th>
            <th scope="col">
              <span class="hidden">Actions</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {rows.map((run) => (
            <Row key={run.id} run={run} again={again} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Row({ run, again }: { run: RunRowFragment; again(): void }) {
  const name = nameOf(run);
  return (
    <tr>
      <th scope="row">
        <a href={`/app/runs/${encodeURIComponent(run.id)}`}>{name}</a>{' '}
        {run.tags.map((tag) => (
          <span class="tag" key={tag}>
            {tag}
          </span>
        ))}
        {run.error && <div class="fault">{run.error.message}</div>}
      </th>
      <td>{words(run.kind)}</td>
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
