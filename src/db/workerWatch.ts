/** How the living learn that a worker has died: its lock stays free, or it says nothing, while they look on. */
import type { Executor } from './client.ts';
import { readSigns } from './queries/workers.ts';
import { Steadiness } from './steadiness.ts';

/** When a worker counts as dead, in milliseconds of the observer's own time. */
export interface Patience {
  /** After its lock was first seen free; long enough for it to come back from a lost connection. */
  unlockedMs: number;
  /** Without a heartbeat though its lock is held: it hangs, or its host vanished. */
  silentMs: number;
  /** After a restart of Postgres, which frees all locks, or a loss of the observer's own connection. */
  recoverMs: number;
}

export class WorkerWatch {
  readonly #patience: Patience;
  readonly #now: () => number;
  readonly #silence: Steadiness;
  readonly #freedom: Steadiness;
  #postmaster: string | null = null;
  /** Before this time nobody is declared dead. */
  #patientUntil = Number.NEGATIVE_INFINITY;

  constructor(patience: Patience, now: () => number = () => performance.now()) {
    this.#patience = patience;
    this.#now = now;
    this.#silence = new Steadiness(now);
    this.#freedom = new Steadiness(now);
  }

  /** Looks once; returns the ids of workers that have died without a word. */
  async findDead(db: Executor): Promise<string[]> {
    const { postmaster, postmasterAgeMs, signs } = await readSigns(db);
    if (postmaster !== this.#postmaster) this.#meetPostmaster(postmaster, postmasterAgeMs);
    const silent = this.#silence.observe(new Map(signs.map(({ id, lastSeen }) => [id, lastSeen])));
    const unlocked = signs.filter(({ locked }) => !locked);
    const free = this.#freedom.observe(new Map(unlocked.map(({ id }) => [id, 'free'])));
    if (this.#now() < this.#patientUntil) return [];
    const { silentMs, unlockedMs } = this.#patience;
    return signs
      .map(({ id }) => id)
      .filter(
        (id) => silent.get(id)! >= silentMs || (free.get(id) ?? Number.NEGATIVE_INFINITY) >= unlockedMs,
      );
  }

  /** The last look failed: whoever was cut off with this observer may need as long as this one to come back. */
  beginAnew(): void {
    this.#silence.forget();
    this.#freedom.forget();
    this.#patientUntil = this.#now() + this.#patience.recoverMs;
  }

  /** A Postgres that is older than this observer's patience has freed no lock lately; a clock set back tells nothing. */
  #meetPostmaster(postmaster: string, ageMs: number): void {
    const first = this.#postmaster === null;
    this.#postmaster = postmaster;
    const { recoverMs } = this.#patience;
    if (!first) this.beginAnew();
    else if (ageMs >= 0 && ageMs < recoverMs) this.#patientUntil = this.#now() + recoverMs - ageMs;
  }
}
