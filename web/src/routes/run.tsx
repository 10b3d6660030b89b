/** One run: where it is, its curves as they grow, its log, its files. */
import { useEffect, useMemo } from 'preact/hooks';
import type { RunHeadFragment } from '../api/documents.ts';
import { ago, bytes, clock, words } from '../format.ts';
import { Phases } from '../parts/phases.tsx';
import { isOver, nameOf, Progress, Status, timing } from '../parts/run.tsx';
import { Settings } from '../parts/settings.tsx';
import { Failed, Loading } from '../parts/states.tsx';
import { RunTabs } from '../parts/tabs.tsx';
import { now } from '../state/query.ts';
import { LiveRun } from '../state/run.ts';
import { CurveGroups } from './runCurves.tsx';
import { Cancel } from './runTable.tsx';

export function Run({ id }: { id: string }) {
  const live = useMemo(() => new LiveRun(id), [id]);
  useEffect(() => () => live.close(), [live]);
  const run = live.run.value;
  const error = live.error.value;
  if (!run)
    return error ? (
      <Failed isWhole message={error.message} again={() => live.open()} />
    ) : (
      <Loading what="Loading the run" />
    );
  return (
    <>
      <Head run={run} done={() => live.open()} />
      <RunTabs id={run.id} kind={run.kind} />
      {error && <Failed title="No longer live" message={error.message} again={() => live.open()} />}
      {run.error && <Failed title={`It failed: ${words(run.error.code)}`} message={run.error.message} />}
      <CurveGroups live={live} run={run} />
      <Log live={live} />
      <Settings all={run.settingValues} changed={run.changedSettings} />
      <Facts run={run} />
    </>
  );
}

function Head({ run, done }: { run: RunHeadFragment; done(): void }) {
  return (
    <div class="head">
      <div class="title">
        <h1>{nameOf(run)}</h1>
        <Status status={run.status} />
        {!isOver(run.status) && (
          <>
            <span class="quiet">{words(run.phase)}</span>
            <Progress value={run.progress} label="Progress of the run" />
            <span class="figure">{Math.floor(run.progress * 100)}%</span>
          </>
        )}
        <span class="figure quiet">{timing(run, now.value)}</span>
        {!isOver(run.status) && <Cancel id={run.id} name="this run" done={done} />}
      </div>
      <p class="quiet">
        {words(run.kind)} on {run.dataset.name}, started {ago(run.createdAt, now.value)}
        {run.parent && (
          <>
            , a part of <a href={`/app/runs/${encodeURIComponent(run.parent.id)}`}>{nameOf(run.parent)}</a>
          </>
        )}
      </p>
      <Phases run={run} now={now.value} />
      {run.notes && <p class="notes">{run.notes}</p>}
    </div>
  );
}

function Log({ live }: { live: LiveRun }) {
  const lines = live.log.value;
  if (lines.length === 0) return null;
  return (
    <section>
      <h2>Log</h2>
      <ol class="log" aria-live="off">
        {lines.map(({ at, level, message }, i) => (
          <li key={i} class={level.toLowerCase()}>
            <time>{clock(at)}</time> {level !== 'INFO' && <strong>{words(level)}: </strong>}
            {message}
          </li>
        ))}
      </ol>
    </section>
  );
}

function Facts({ run }: { run: RunHeadFragment }) {
  const facts: [string, string][] = [
    ['Seed', String(run.seed)],
    ['Backend', run.backend ? words(run.backend) : '–'],
    ['Worker', run.worker ? `${run.worker.hostname}, process ${run.worker.pid}` : '–'],
    ['Attempts', String(run.attempt)],
    ['Storage', bytes(run.storage)],
    ['Server', run.codeVersion],
  ];
  return (
    <section class="columns">
      <div>
        <h2>About</h2>
        <dl class="facts">
          {facts.map(([name, value]) => (
            <div key={name}>
              <dt>{name}</dt>
              <dd>{value}</dd>
            </div>
          ))}
        </dl>
      </div>
      <div>
        <h2>Exports</h2>
        <ul class="plain">
          {run.exports.map(({ name, format, url, description }) => (
            <li key={url} title={description}>
              <a href={url} download>
                {name}.{format.toLowerCase()}
              </a>
            </li>
          ))}
        </ul>
      </div>
    </section>
  );
}
