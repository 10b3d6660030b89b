/**
 * Changes of all runs for any number of subscribers. One statement a process, at most four times a second, reads what
 * has changed for all filters together; subscribers with the same filter share what came of it.
 */
import { AppError, invalidInput } from '../errors.ts';
import type { Db } from './client.ts';
import type { DbLog } from './log.ts';
import type { Notifications } from './notifications.ts';
import { patiently } from './patiently.ts';
import {
  listFitting,
  type Place,
  RUN_CHANGES_CHANNEL,
  readChanges,
  readMissed,
  readSnapshot,
  type Snapshot,
} from './queries/runChanges.ts';
import type { RunFilter } from './queries/runFilter.ts';
import { ChangeChannel, type ChangeSubscription, type PlacedChange, placed } from './runChangeChannel.ts';

/** Between two reads: as often as people see something move, and as seldom as a thousand runs can be afforded. */
const READ_EVERY_MS = 250;

export interface RunChanges {
  /**
   * Batches of changed runs that fit the filter, or did before: behind `after` what was missed, then what comes. A
   * subscriber that lags is told of each run once, as it is by then. Without `after` it begins now. The objects are
   * shared: do not change them.
   *
   * @throws AppError INVALID_INPUT for an `after` of another database; the iterator: UNAVAILABLE at a shutdown.
   */
  subscribe(filter: RunFilter, after: Place | null): Promise<AsyncIterableIterator<readonly PlacedChange[]>>;
  /** Ends all subscriptions. */
  close(): void;
}

export interface RunChangesOptions {
  db: Db;
  notifications: Notifications;
  log: DbLog;
}

/** Follows the runs of this process' database, while anybody is subscribed. */
export function followRunChanges(options: RunChangesOptions): RunChanges {
  return new Follower(options);
}

class Follower implements RunChanges {
  readonly #db: Db;
  readonly #log: DbLog;
  readonly #stop: () => void;
  /** By filter. */
  readonly #channels = new Map<string, ChangeChannel>();
  /** All that this sees was read; null while nobody is there. */
  #seen: Snapshot | null = null;
  #last: Promise<void> = Promise.resolve();
  /** The read that has not begun yet. */
  #queued: Promise<void> | null = null;
  #timer: NodeJS.Timeout | null = null;
  #readAt = 0;

  constructor({ db, log, notifications }: RunChangesOptions) {
    this.#db = db;
    this.#log = log;
    this.#stop = notifications.on(RUN_CHANGES_CHANNEL, {
      onNotify: () => this.#readSoon(),
      onConnect: () => this.#readSoon(),
    });
  }

  async subscribe(filter: RunFilter, after: Place | null): Promise<ChangeSubscription> {
    const channel = this.#channelOf(filter);
    const subscription = channel.enter();
    try {
      await channel.opened;
      // What a cursor has seen in another process is seen here from now on.
      await this.#read();
      const until = this.#seen!;
      if (after && isAhead(after, until))
        throw invalidInput(['after'], 'after is not a cursor of this database; subscribe without it');
      subscription.begin(
        after &&
          this.#patiently(async () => {
            const { rest, later } = await readMissed(this.#db, filter, after, until);
            const changes = after.within ? placed(rest, after.seen, after.within.until) : [];
            return [...changes, ...placed(later, after.within?.until ?? after.seen, until)];
          }),
      );
      return subscription;
    } catch (error) {
      subscription.close();
      throw error;
    }
  }

  close(): void {
    this.#stop();
    if (this.#timer) clearTimeout(this.#timer);
    const error = new AppError('UNAVAILABLE', 'the server is shutting down; go on from the last cursor');
    for (const channel of [...this.#channels.values()]) channel.fail(error);
  }

  #channelOf(filter: RunFilter): ChangeChannel {
    const key = JSON.stringify(
      Object.entries(filter)
        .filter(([, value]) => value != null)
        .sort(),
    );
    const known = this.#channels.get(key);
    if (known) return known;
    const channel = new ChangeChannel(filter, key === '[]', () => {
      this.#channels.delete(key);
      if (this.#channels.size === 0) this.#seen = null;
    });
    this.#channels.set(key, channel);
    channel.opened = this.#open(channel);
    // Told to those who subscribe.
    channel.opened.catch(() => undefined);
    return channel;
  }

  /** Reads which runs fit, between two reads of changes: so it knows of every run that fits when subscribers begin. */
  async #open(channel: ChangeChannel): Promise<void> {
    if (channel.isWhole) return;
    await this.#read();
    channel.learn(await this.#patiently(() => listFitting(this.#db, channel.filter)));
  }

  #readSoon(): void {
    if (this.#timer || this.#channels.size === 0) return;
    const wait = Math.max(0, this.#readAt + READ_EVERY_MS - performance.now());
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.#read().catch(() => undefined);
    }, wait);
  }

  /** A read that begins after this call, shared by all who ask for one before it begins. */
  #read(): Promise<void> {
    if (!this.#queued) {
      this.#queued = this.#last.then(() => {
        this.#queued = null;
        return this.#readOn();
      });
      // Whoever asked is told of a failure, and so are all subscribers.
      this.#last = this.#queued.catch(() => undefined);
    }
    return this.#queued;
  }

  async #readOn(): Promise<void> {
    this.#readAt = performance.now();
    const channels = [...this.#channels.values()];
    try {
      const since = this.#seen ?? (await this.#patiently(() => readSnapshot(this.#db)));
      const filters = channels.map(({ filter }) => filter);
      const { until, changes } = await this.#patiently(() => readChanges(this.#db, since, filters));
      // The next who comes begins at its own moment.
      this.#seen = this.#channels.size === 0 ? null : until;
      for (const [i, channel] of channels.entries()) channel.advance(changes, i, until);
    } catch (error) {
      for (const channel of channels) channel.fail(error);
      throw error;
    }
  }

  #patiently<T>(query: () => Promise<T>): Promise<T> {
    return patiently(query, {
      isAwaited: () => this.#channels.size > 0,
      onRetry: (err) => this.#log.warn({ err }, 'changes of runs could not be read; trying again'),
    });
  }
}

/** Whether the place is behind a moment that has not come yet. */
function isAhead({ seen, within }: Place, now: Snapshot): boolean {
  const end = (snapshot: Snapshot) => BigInt(snapshot.split(':')[1]!);
  return end(within?.until ?? seen) > end(now);
}
