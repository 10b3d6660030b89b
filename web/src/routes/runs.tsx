/** All runs, live: what each does, how far it is, how long it will take. */
import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import {
  CancelRun,
  type RunKind,
  type RunRowFragment,
  type RunStatus,
  Runs as RunsDocument,
} from '../api/documents.ts';
import { request } from '../api/graphql.ts';
import { ago, words } from '../format.ts';
import { isOver, nameOf, Progress, Status, timing } from '../parts/run.tsx';
import { Empty, Waiting } from '../parts/states.tsx';
import { navigate, query, setQuery } from '../router.ts';
import { now, useQuery } from '../state/query.ts';
import { EngineLine } from './engine.tsx';
import { StartSteps } from './start.tsx';

const PAGE = 50;
const REFRESH_MS = 2_000;

export function Runs() {
  const kind = query.value.get('kind') as RunKind | null;
  const status = query.value.get('status') as RunStatus | null;
  const filter = {
    isPart: false,
    ...(kind ? { kind: [kind] } : {}),
    ...(status ? { status: [status] } : {}),
  };
  const { data, error, again } = useQuery(RunsDocument, { first: PAGE, filter });
  const isBusy = data?.runs.edges.some(({ node }) => !isOver(node.status));
  useEffect(() => {
    if (!isBusy) return;
    const timer = setInterval(() => !document.hidden && void again(), REFRESH_MS);
    return () => clearInterval(timer);
  }, [isBusy]);
  if (!data) return <Waiting what="Loading runs" error={error} again={again} />;
  const { edges, totalCount } = data.runs;
  const rows = edges.map(({ node }) => node);
  const isFiltered = kind !== null || status !== null;
  const isEmpty = rows.length === 0 && !isFiltered;
  const hasAligned = rows.some((run) => run.kind !== 'MODEL');
  return (
    <>
      <div class="title">
        <h1>Runs</h1>
        <span class="quiet">{totalCount}</span>
        {!isEmpty && <Filters kind={kind} status={status} />}
      </div>
      <EngineLine />
      {!hasAligned && !isFiltered && <StartSteps runs={rows} changed={again} />}
      {isEmpty && (
        <p class="quiet">Nothing has run here yet. Three clicks lead from nothing to a live alignment.</p>
      )}
      {rows.length === 0 && isFiltered && <Empty title="No run fits this filter" />}
      {rows.length > 0 && <Table rows={rows} again={again} />}
      {hasAligned && !isFiltered && (
        <details class="more">
          <summary>Start another</summary>
          <StartSteps runs={rows} changed={again} />
        </details>
      )}
    </>
  );
}

const KINDS: RunKind[] = [
  'MODEL',
  'ALIGNMENT',
  'ALIGNMENT_SWEEP',
  'BASELINE',
  'SWAP_SWEEP',
  'GROKKING',
  'HOP_SWAP',
];
const STATUSES: RunStatus[] = ['RUNNING', 'QUEUED', 'SUCCEEDED', 'FAILED', 'CANCELLED'];

function Filters({ kind, status }: { kind: RunKind | null; status: RunStatus | null }) {
  const select = (name: string, value: string | null, all: string, values: readonly string[]) => (
    <select
      aria-label={all}
      value={value ?? ''}
      onChange={(event) => setQuery({ [name]: event.currentTarget.value || null })}
    >
      <option value="">{all}</option>
      {values.map((each) => (
        <option key={each} value={each}>
          {words(each)}
        </option>
      ))}
    </select>
  );
  return (
    <>
      {select('kind', kind, 'All kinds', KINDS)}
      {select('status', status, 'All states', STATUSES)}
    </>
  );
}

function Table({ rows, again }: { rows: RunRowFragment[]; again(): void }) {
  const marked = useSignal<readonly string[]>([]);
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
            <Row key={run.id} run={run} again={again} isMarked={marked.value.includes(run.id)} mark={mark} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

interface RowProps {
  run: RunRowFragment;
  again(): void;
  isMarked: boolean;
  mark(id: string, isOn: boolean): void;
}

function Row({ run, again, isMarked, mark }: RowProps) {
  const name = nameOf(run);
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
