/** How the report asks the API. */
import type { ApiClient } from '../../src/demo/client.ts';
import { type Ended, finished } from '../../src/demo/replies.ts';
import { runAndWatch } from '../../src/demo/watch.ts';

/** Starts a run, follows it to its end, and asks what came of it. */
export async function result<T>(
  api: ApiClient,
  query: string,
  label: string,
  mutation: string,
  input: object,
): Promise<T & { id: string }> {
  const id = await runAndWatch(api, label, mutation, input as Record<string, unknown>);
  return { ...(await read<T>(api, query, id)), id };
}

/** What the query tells of a run that has ended well. */
export async function read<T>(api: ApiClient, query: string, id: string): Promise<T> {
  return finished((await api.request<{ run: T & Ended }>(query, { id })).run);
}
