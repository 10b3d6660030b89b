/** What a view asks the server: loading, an error in words, or data; asked anew when its variables change. */
import { type ReadonlySignal, type Signal, signal, useComputed, useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { type ApiError, request, type TypedDocument } from '../api/graphql.ts';
import { askPatiently } from '../api/patience.ts';

export interface Asked<Result> {
  data: Result | null;
  error: ApiError | null;
  isLoading: boolean;
}

export interface Query<Result> extends Asked<Result> {
  /** Asks again, leaving what is there in sight. */
  again(): Promise<void>;
}

/** Asks while `variables` is not null, again by itself where the server cannot answer just now; data of the last variables stay in sight until the next are there. */
export function useQuery<Result, Variables>(
  document: TypedDocument<Result, Variables>,
  variables: NoInfer<Variables> | null,
): Query<Result> {
  const state = useSignal<Asked<Result>>({ data: null, error: null, isLoading: variables !== null });
  const round = useSignal(0);
  const key = JSON.stringify(variables);
  useEffect(() => {
    if (variables === null) return;
    const abort = new AbortController();
    void ask(document, variables, state, abort.signal);
    return () => abort.abort();
  }, [document, key, round.value]);
  return {
    ...state.value,
    async again() {
      round.value += 1;
    },
  };
}

async function ask<Result, Variables>(
  document: TypedDocument<Result, Variables>,
  variables: NoInfer<Variables>,
  state: Signal<Asked<Result>>,
  abort: AbortSignal,
): Promise<void> {
  state.value = { ...state.peek(), isLoading: true };
  try {
    const data = await askPatiently(() => request(document, variables, { signal: abort }), {
      signal: abort,
      wait: (error) => {
        state.value = { ...state.peek(), error };
      },
    });
    state.value = { data, error: null, isLoading: false };
  } catch (error) {
    if (abort.aborted) return;
    state.value = { data: state.peek().data, error: error as ApiError, isLoading: false };
  }
}

/** A clock for what is written as "3 min ago"; one for the whole page. */
export const now: Signal<number> = signal(Date.now());
setInterval(() => {
  if (!document.hidden) now.value = Date.now();
}, 15_000);

export function useAgo(date: string, write: (date: string, now: number) => string): ReadonlySignal<string> {
  return useComputed(() => write(date, now.value));
}
