/** Imports that the server is reading, whoever asked for them, and how far each has come. */
import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { Imports as ImportsDocument, type ImportsQuery } from '../api/documents.ts';
import { request } from '../api/graphql.ts';
import { bytes, duration, words } from '../format.ts';

type Import = ImportsQuery['imports'][number];

const BUSY_MS = 1_000;
/** Somebody else may have begun one. */
const IDLE_MS = 10_000;

/** `done` is told when one has ended; `isBusy` says that this page has just begun one. */
export function Imports({ isBusy, done }: { isBusy: boolean; done(): void }) {
  const imports = useSignal<readonly Import[]>([]);
  useEffect(() => {
    const leaving = new AbortController();
    let timer: ReturnType<typeof setTimeout>;
    const look = async () => {
      const before = imports.peek().length;
      // What cannot be asked now is asked again anyhow.
      const answer = document.hidden
        ? null
        : await request(ImportsDocument, {}, { signal: leaving.signal }).catch(() => null);
      if (leaving.signal.aborted) return;
      if (answer) imports.value = answer.imports;
      if (answer && answer.imports.length < before) done();
      timer = setTimeout(look, isBusy || imports.peek().length > 0 ? BUSY_MS : IDLE_MS);
    };
    void look();
    return () => {
      leaving.abort();
      clearTimeout(timer);
    };
  }, [isBusy]);
  if (imports.value.length === 0) return null;
  return (
    <ul class="plain one" aria-label="Imports under way">
      {imports.value.map((each) => (
        <Row key={`${each.startedAt} ${each.place}`} of={each} />
      ))}
    </ul>
  );
}

function Row({ of: { kind, place, startedAt, writtenBytes, totalBytes } }: { of: Import }) {
  const share = totalBytes ? writtenBytes / totalBytes : 0;
  const elapsed = (Date.now() - Date.parse(startedAt)) / 1000;
  return (
    <li>
      {words(kind)} <b>{place}</b>{' '}
      {totalBytes === null ? (
        <progress aria-label={`Reading the headers of ${place}`} />
      ) : (
        <progress class="bar" max={1} value={share} aria-label={`Import of ${place}`} />
      )}{' '}
      <span class="quiet figure">
        {totalBytes === null
          ? 'its headers are read and checked'
          : `${bytes(writtenBytes)} of ${bytes(totalBytes)}`}
        {share > 0.02 && `, ${duration((elapsed * (1 - share)) / share)} left`}
      </span>
    </li>
  );
}
