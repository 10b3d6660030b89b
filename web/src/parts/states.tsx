/** What a view shows when it has nothing to show. */
import type { ComponentChildren } from 'preact';

export function Loading({ what = 'Loading' }: { what?: string }) {
  return (
    <p class="loading" role="status">
      {what}…
    </p>
  );
}

export function Failed({
  title = 'This did not work',
  isWhole,
  message,
  again,
}: {
  title?: string;
  message: string;
  again?: () => void;
  /** Nothing else is in sight. */
  isWhole?: boolean;
}) {
  return (
    <div class="failed" role="alert">
      {isWhole ? <h1>{title}</h1> : <strong>{title}</strong>}
      <p>{message}</p>
      {again && (
        <button type="button" onClick={again}>
          Try again
        </button>
      )}
    </div>
  );
}

/** In the place of a whole view while its query has no answer: that it is asked for, or why there is none. */
export function Waiting({
  what,
  error,
  again,
}: {
  what: string;
  error: { message: string } | null;
  again: () => void;
}) {
  return error ? <Failed isWhole message={error.message} again={again} /> : <Loading what={what} />;
}

export function Empty({ title, children }: { title: string; children?: ComponentChildren }) {
  return (
    <div class="empty">
      <strong>{title}</strong>
      {children}
    </div>
  );
}
