/** All runs, live: what each is, does and has reached, how far it is, how long it will take. */
import { type Signal, useSignal } from '@preact/signals';
import { useEffect, useMemo, useRef } from 'preact/hooks';
import type { RunFilter, RunKind, RunStatus } from '../api/documents.ts';
import { words } from '../format.ts';
import { Search } from '../parts/search.tsx';
import { Empty, Failed, Loading } from '../parts/states.tsx';
import { query, setQuery } from '../router.ts';
import { LiveRuns } from '../state/runs.ts';
import { EngineLine } from './engine.tsx';
import { RunTable } from './runTable.tsx';
import { StartSteps } from './start.tsx';

const PAGE = 50;
const MOST = 500;

/** What the address says is looked for. */
function filterOf(address: URLSearchParams): RunFilter {
  const [kind, status] = [address.get('kind') as RunKind | null, address.get('status') as RunStatus | null];
  const [text, tag] = [address.get('text'), address.get('tag')];
  return {
    isPart: false,
    ...(kind ? { kind: [kind] } : {}),
    ...(status ? { status: [status] } : {}),
    ...(text ? { text } : {}),
    ...(tag ? { tag } : {}),
  };
}

export function Runs() {
  const filter = filterOf(query.value);
  const first = useSignal(PAGE);
  const key = JSON.stringify([filter, first.value]);
  const live = useMemo(() => new LiveRuns(filter, first.value), [key]);
  useEffect(() => () => live.close(), [live]);
  // Until there is an answer to the new question, that to the last one stays in sight.
  const shown = useRef(live);
  if (live.rows.value) shown.current = live;
  const marked = useSignal<readonly string[]>([]);
  const rows = shown.current.rows.value;
  const isFiltered = Object.keys(filter).length > 1;
  const isEmpty = rows?.length === 0 && !isFiltered;
  return (
    <>
      <div class="title">
        <h1>Runs</h1>
        {rows && <span class="quiet">{shown.current.total.value}</span>}
        {!isEmpty && <Filters filter={filter} />}
      </div>
      <EngineLine />
      {live.error.value && <Failed message={live.error.value.message} again={() => live.open()} />}
      {!rows && !live.error.value && <Loading what="Loading runs" />}
      {rows && <List live={shown.current} isFiltered={isFiltered} marked={marked} />}
      {live.hasMore.value && first.value < MOST && (
        <p class="tools">
          <button type="button" onClick={() => (first.value = Math.min(MOST, first.value * 2))}>
            Show more
          </button>
        </p>
      )}
    </>
  );
}

interface ListProps {
  live: LiveRuns;
  isFiltered: boolean;
  /** Runs to compare, of this list and of others before it. */
  marked: Signal<readonly string[]>;
}

function List({ live, isFiltered, marked }: ListProps) {
  const rows = live.rows.value!;
  const again = () => void live.open();
  const hasAligned = rows.some((run) => run.kind !== 'MODEL');
  return (
    <>
      {!hasAligned && !isFiltered && <StartSteps runs={rows} changed={again} />}
      {rows.length === 0 && !isFiltered && (
        <p class="quiet">Nothing has run here yet. Three clicks lead from nothing to a live alignment.</p>
      )}
      {rows.length === 0 && isFiltered && <Empty title="No run fits this filter" />}
      {rows.length > 0 && <RunTable rows={rows} sparks={live.sparks.value} marked={marked} again={again} />}
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

function Filters({ filter }: { filter: RunFilter }) {
  const select = (name: string, value: string | undefined, all: string, values: readonly string[]) => (
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
      <Search label="Search runs" hint="name, note, tag, model, dataset" />
      {select('kind', filter.kind?.[0], 'All kinds', KINDS)}
      {select('status', filter.status?.[0], 'All states', STATUSES)}
      {filter.tag && (
        <button type="button" class="small" onClick={() => setQuery({ tag: null })}>
          Tag {filter.tag}: show all
        </button>
      )}
    </>
  );
}
