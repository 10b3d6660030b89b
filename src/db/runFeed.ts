/**
 * Live events of runs for any number of subscribers. A notification only says that there is something new; the
 * rows are read once a run and process, and handed to its subscribers in memory.
 */
import { AppError } from '../errors.ts';
import type { Db } from './client.ts';
import type { DbLog } from './log.ts';
import type { Notifications } from './notifications.ts';
import { RUN_EVENTS_CHANNEL, type RunEventRow } from './queries/events.ts';
import { RunChannel } from './runChannel.ts';

export interface RunFeed {
  /**
   * Batches of events after `afterSeq`, first what is stored, then what comes; nothing is missed or repeated,
   * also across restarts of Postgres. Ends after the run's last event. The rows are shared: do not change them.
   *
   * @throws AppError NOT_FOUND for an unknown run; INVALID_INPUT for an `afterSeq` that was never given out;
   *   the iterator: UNAVAILABLE when the feed is closed before the run has ended.
   */
  subscribe(runId: string, afterSeq: number): Promise<AsyncIterableIterator<readonly RunEventRow[]>>;
  /** Ends all subscriptions. */
  close(): void;
}

export interface RunFeedOptions {
  db: Db;
  notifications: Notifications;
  log: DbLog;
}

/** Opens the feed of this process. */
export function createRunFeed(options: RunFeedOptions): RunFeed {
  const channels = new Map<string, RunChannel>();
  const stop = options.notifications.on(RUN_EVENTS_CHANNEL, {
    onNotify(payload) {
      const [runId, seq] = payload.split(':');
      const channel = channels.get(runId!);
      if (channel && Number(seq) > channel.position) void channel.advance();
    },
    onConnect() {
      for (const channel of channels.values()) void channel.advance();
    },
  });
  return {
    async subscribe(runId, afterSeq) {
      let channel = channels.get(runId);
      if (!channel) {
        channel = new RunChannel(runId, options.db, options.log, () => channels.delete(runId));
        channels.set(runId, channel);
      }
      return channel.subscribe(afterSeq);
    },
    close() {
      stop();
      for (const channel of channels.values()) {
        channel.fail(new AppError('UNAVAILABLE', 'the server is shutting down; go on from the last cursor'));
      }
    },
  };
}
