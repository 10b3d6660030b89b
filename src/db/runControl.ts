/** Tells a worker which of the runs it works on have been cancelled. */
import type { Db } from './client.ts';
import type { DbLog } from './log.ts';
import type { Notifications } from './notifications.ts';
import { listCancelled, RUN_CONTROL_CHANNEL } from './queries/runs.ts';

export interface RunControl {
  /**
   * Calls `onCancel`, once, when the run is cancelled or was already; the returned function ends the watch.
   * Call it after claiming the run.
   */
  watch(runId: string, onCancel: () => void): () => void;
  close(): void;
}

/** Hears of cancellations at once, and looks them up whenever a notification may have been missed. */
export function createRunControl(db: Db, notifications: Notifications, log: DbLog): RunControl {
  const watched = new Map<string, () => void>();
  const cancel = (runId: string) => {
    const onCancel = watched.get(runId);
    watched.delete(runId);
    onCancel?.();
  };
  const lookUp = async () => {
    try {
      for (const runId of await listCancelled(db, [...watched.keys()])) cancel(runId);
    } catch (error) {
      // The next connection looks again; until then the void claim stops the worker at its next write.
      log.warn({ err: error }, 'cancelled runs could not be looked up');
    }
  };
  const stop = notifications.on(RUN_CONTROL_CHANNEL, {
    onNotify(payload) {
      const [runId, command] = payload.split(':');
      if (command === 'cancel') cancel(runId!);
    },
    onConnect: () => void lookUp(),
  });
  return {
    watch(runId, onCancel) {
      watched.set(runId, onCancel);
      void lookUp();
      return () => {
        if (watched.get(runId) === onCancel) watched.delete(runId);
      };
    },
    close: stop,
  };
}
