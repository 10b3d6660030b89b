/** The session that holds weights and moments, with all training steps of a stepper as fetches of its one graph. */

import type { Arrays } from '../contract/arrays.ts';
import type { UpdateScalars } from './adamw.ts';
import type { Layout } from './arrays.ts';
import { Graph, type Output } from './graph.ts';
import { batchFeeds, type StepProgram, writeStep } from './program.ts';
import { type NativeTensor, Session } from './session.ts';
import type { AdamWSettings } from './stepper.ts';
import { PARTS, type Part, updateFeeds, Variables } from './variables.ts';

/** Weights and moments. */
export type State = Record<Part, Arrays>;

export type Moments = Pick<State, 'm' | 'v'>;

/** The same outside a session; moments are null as long as all are 0. */
export interface ParkedState {
  weights: Arrays;
  moments: Moments | null;
}

export class TrainingSession {
  readonly #names: readonly string[];
  readonly #variables: Variables;
  readonly #scalars = new Map<StepProgram, Output>();
  readonly #session: Session;

  /** With these weights; moments are to be set before the first step. */
  constructor(layout: Layout, programs: Iterable<StepProgram>, settings: AdamWSettings, weights: Arrays) {
    const graph = new Graph();
    this.#names = Object.keys(layout);
    this.#variables = new Variables(graph, layout);
    for (const program of programs)
      this.#scalars.set(program, writeStep(graph, this.#variables, program, settings));
    this.#session = new Session(graph.toSavedModel());
    this.#assign('weights', weights);
  }

  /** Updates the weights once; returns what the loss reports. */
  step(program: StepProgram, batch: Arrays, scalars: UpdateScalars): Record<string, number> {
    const feeds = { ...batchFeeds(program, batch), ...updateFeeds(scalars) };
    const [values] = this.#session.run(feeds, [this.#scalars.get(program)!]);
    return Object.fromEntries(program.scalars.map((name, i) => [name, values!.data[i]!]));
  }

  /** Copies of weights and moments. */
  read(): State {
    const values = this.#session.run(
      {},
      PARTS.flatMap((part) => this.#variables.values(part)),
    );
    const part = (offset: number): Arrays =>
      Object.fromEntries(this.#names.map((name, i) => [name, values[offset * this.#names.length + i]!]));
    return { weights: part(0), m: part(1), v: part(2) };
  }

  /** The weights without a copy; to be released before the next step, which may overwrite them. */
  weights(): Record<string, NativeTensor> {
    const values = this.#session.fetch({}, this.#variables.values('weights'));
    return Object.fromEntries(this.#names.map((name, i) => [name, values[i]!]));
  }

  write(weights: Arrays, moments: Moments): void {
    this.#assign('weights', weights);
    this.setMoments(moments);
  }

  /** Null sets all to 0. */
  setMoments(moments: Moments | null): void {
    if (!moments) {
      this.#session.run({}, this.#variables.resets);
      return;
    }
    this.#assign('m', moments.m);
    this.#assign('v', moments.v);
  }

  #assign(part: Part, values: Arrays): void {
    for (const name of Object.keys(values)) {
      const { feeds, fetch } = this.#variables.assignment(part, name, values[name]!);
      this.#session.run(feeds, [fetch]);
    }
  }

  dispose(): void {
    this.#session.dispose();
  }
}
