/** Work on live streams is done in turns, so that whoever asks for something else is answered in between. */

/** How long streams may work before the event loop looks at its sockets again, in milliseconds. */
const BUDGET_MS = 5;

export class Turns {
  #waiting: (() => void)[] = [];
  #isScheduled = false;

  /** Calls `turn` when it is its turn, behind all that asked before; resolves with what it returned. */
  take<T>(turn: () => T | PromiseLike<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.#waiting.push(() => {
        try {
          resolve(turn());
        } catch (error) {
          reject(error);
        }
      });
      this.#schedule();
    });
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => this.#run());
  }

  #run(): void {
    const turns = this.#waiting;
    const end = performance.now() + BUDGET_MS;
    let done = 0;
    while (done < turns.length && performance.now() < end) turns[done++]!();
    // What was added meanwhile lies behind those that still wait.
    this.#waiting = turns.slice(done);
    this.#isScheduled = false;
    if (this.#waiting.length > 0) this.#schedule();
  }
}
