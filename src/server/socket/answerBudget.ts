/** How many operations of one socket may be in work, so that answers nobody reads do not fill the memory. */

/** Bytes of answers that one socket may have in work and unsent. */
const BUDGET_BYTES = 8 * 1024 ** 2;
/** Taken for the size of an answer while none is known. */
const FIRST_GUESS_BYTES = 4 * 1024 ** 2;
const MAX_OPERATIONS = 16;

/** Counts operations by id, and guesses what the next answer weighs from those before. */
export class AnswerBudget {
  readonly #working = new Set<string>();
  #guess = FIRST_GUESS_BYTES;

  /** Whether one more may begin while `unsent` bytes wait for the client. */
  allows(unsent: number): boolean {
    const count = this.#working.size;
    if (count === 0) return unsent < BUDGET_BYTES / 2;
    return count < MAX_OPERATIONS && unsent + (count + 1) * this.#guess <= BUDGET_BYTES;
  }

  begin(id: string): void {
    this.#working.add(id);
  }

  /** True when it was counted. */
  end(id: string): boolean {
    return this.#working.delete(id);
  }

  /** Learns from an answer: at once from a large one, slowly that they are small. */
  observe(bytes: number): void {
    this.#guess = Math.max(bytes, this.#guess / 2);
  }

  get isIdle(): boolean {
    return this.#working.size === 0;
  }
}
