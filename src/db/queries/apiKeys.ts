/** What replicas tell one another of keys. */
import type { Executor } from '../client.ts';
import { notify } from './events.ts';

/** `NOTIFY` payloads of this channel are `<key id>:revoked` and `<key id>:restored`. */
export const API_KEYS_CHANNEL = 'api_keys';

/** Tells all replicas when the transaction commits. */
export function notifyKey(tx: Executor, id: string, state: 'revoked' | 'restored'): Promise<void> {
  return notify(tx, API_KEYS_CHANNEL, `${id}:${state}`);
}
