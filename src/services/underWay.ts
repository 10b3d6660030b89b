/**
 * What this process is working out already. Whoever asks for the same meanwhile waits along; the work goes on for the
 * others when the one who began it has left.
 */
export class UnderWay<T> {
  readonly #answers = new Map<string, Promise<T>>();

  /**
   * For each thing its answer; `begin` is called once, with those that nobody waits for yet, and not for none.
   * @throws whatever the work that brings one of the answers has thrown.
   */
  join<Thing>(
    things: readonly Thing[],
    keyOf: (thing: Thing) => string,
    begin: (own: readonly Thing[]) => Promise<readonly T[]>,
  ): Promise<T[]> {
    const own = things.filter((thing) => !this.#answers.has(keyOf(thing)));
    if (own.length > 0) this.#follow(own.map(keyOf), begin(own));
    return Promise.all(things.map((thing) => this.#answers.get(keyOf(thing))!));
  }

  #follow(keys: readonly string[], work: Promise<readonly T[]>): void {
    for (const [i, key] of keys.entries()) {
      const answer = work.then((found) => found[i]!);
      this.#answers.set(key, answer);
      const forget = () => this.#answers.delete(key);
      void answer.then(forget, forget);
    }
  }
}
