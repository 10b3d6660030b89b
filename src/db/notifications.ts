/** One LISTEN connection a process, shared by all that want to know. */

import type { DbLog } from './log.ts';
import { API_KEYS_CHANNEL } from './queries/apiKeys.ts';
import { RUN_EVENTS_CHANNEL } from './queries/events.ts';
import { RUN_CHANGES_CHANNEL } from './queries/runChanges.ts';
import { RUN_CONTROL_CHANNEL } from './queries/runs.ts';
import { keepSession, type Session } from './session.ts';

const CHANNELS = [RUN_EVENTS_CHANNEL, RUN_CHANGES_CHANNEL, RUN_CONTROL_CHANNEL, API_KEYS_CHANNEL] as const;
const PROBE_MS = 15_000;

export type Channel = (typeof CHANNELS)[number];

export interface NotificationHandler {
  onNotify(payload: string): void;
  /** After each (re)connection: notifications may have been missed, so look at the rows. */
  onConnect(): void;
}

export interface Notifications {
  /** Resolves when it listens. */
  ready: Promise<void>;
  /** Adds a handler; the returned function removes it. */
  on(channel: Channel, handler: NotificationHandler): () => void;
  close(): Promise<void>;
}

/** Listens until `close`, across restarts of Postgres. */
export function listenForNotifications(connectionString: string, log: DbLog): Notifications {
  const handlers = new Map<Channel, Set<NotificationHandler>>(
    CHANNELS.map((channel) => [channel, new Set()]),
  );
  const session: Session = keepSession({
    connectionString,
    applicationName: 'alignsae notifications',
    log,
    probeMs: PROBE_MS,
    async probe(client) {
      await client.query('select 1');
    },
    async onConnect(client) {
      client.on('notification', ({ channel, payload }) => {
        for (const handler of handlers.get(channel as Channel) ?? []) handler.onNotify(payload ?? '');
      });
      for (const channel of CHANNELS) await client.query(`listen ${channel}`);
      for (const group of handlers.values()) for (const handler of group) handler.onConnect();
    },
  });
  return {
    ready: session.ready,
    on(channel, handler) {
      handlers.get(channel)!.add(handler);
      return () => void handlers.get(channel)!.delete(handler);
    },
    close: () => session.close(),
  };
}
