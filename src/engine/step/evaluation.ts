/** An evaluation compiled for one batch shape: a session without state, to which the weights are fed. */

import type { Arrays } from '../contract/arrays.ts';
import type { Layout } from './arrays.ts';
import type { Output } from './graph.ts';
import { batchFeeds, type Program, writeEval } from './program.ts';
import { type Feed, Session } from './session.ts';

export class Evaluation {
  readonly #program: Program;
  readonly #placeholders: ReadonlyMap<string, Output>;
  readonly #fetches: readonly Output[];
  readonly #session: Session;

  /** @param weights Layout of the stepper's weights. */
  constructor(program: Program, weights: Layout) {
    const { graph, placeholders, fetches } = writeEval(program, weights);
    this.#program = program;
    this.#placeholders = placeholders;
    this.#fetches = fetches;
    this.#session = new Session(graph.toSavedModel());
  }

  /** @param weights What to feed for the stepper's weights; those that it does not read may be missing. */
  run(weights: Readonly<Record<string, Feed>>, batch: Arrays): Arrays {
    const feeds: Record<string, Feed> = batchFeeds(this.#program, batch);
    for (const [name, node] of this.#placeholders) feeds[node] = weights[name]!;
    const values = this.#session.run(feeds, this.#fetches);
    return Object.fromEntries(Object.keys(this.#program.trace.results).map((name, i) => [name, values[i]!]));
  }

  dispose(): void {
    this.#session.dispose();
  }
}
