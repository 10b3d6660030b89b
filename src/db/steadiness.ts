/** For how long things have been as they are, as one observer sees it: no clock of anybody else is asked. */
export class Steadiness {
  readonly #now: () => number;
  #seen = new Map<string, { state: string; since: number }>();

  /** `now` in milliseconds; it must not run backwards. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** Takes a look's states by key; returns for how many milliseconds each has been the same in every look. */
  observe(states: ReadonlyMap<string, string>): Map<string, number> {
    const now = this.#now();
    const seen = new Map<string, { state: string; since: number }>();
    for (const [key, state] of states) {
      const before = this.#seen.get(key);
      seen.set(key, before?.state === state ? before : { state, since: now });
    }
    this.#seen = seen;
    return new Map([...seen].map(([key, { since }]) => [key, now - since]));
  }

  /** Begins anew: between two looks too much may have happened. */
  forget(): void {
    this.#seen.clear();
  }
}
