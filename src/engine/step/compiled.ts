/** Steps compiled for TensorFlow: one native call each. */

import type { Arrays } from '../contract/arrays.ts';
import { updateScalars } from './adamw.ts';
import { bytesOf, copyArrays, type Layout, layoutOf, zeros } from './arrays.ts';
import { BatchCheck, checkOptions, checkState, entry } from './check.ts';
import { collectLarge } from './collect.ts';
import { Evaluation } from './evaluation.ts';
import { programKey, type StepProgram, traceEval, traceStep } from './program.ts';
import { release } from './session.ts';
import type { Stepper, StepperOptions, StepperState } from './stepper.ts';
import { type ParkedState, type State, TrainingSession } from './training.ts';

/** Evaluations that stay compiled, counting each batch shape; beyond, the least recently used makes place. */
const MAX_EVALUATIONS = 16;

/**
 * Each loss is traced once for each batch shape that it meets. All of them are fetches of one graph, because variables
 * belong to one session; a new one loads a new graph, into which the state is carried. Evaluations have sessions of
 * their own.
 */
export class CompiledStepper implements Stepper {
  readonly #options: Omit<StepperOptions, 'weights'>;
  readonly #layout: Layout;
  readonly #batches = new BatchCheck();
  readonly #steps = new Map<string, StepProgram>();
  /** The least recently used first. */
  readonly #evaluations = new Map<string, Evaluation>();
  /** Holds the state whenever it is not parked. */
  #session: TrainingSession | null = null;
  #parked: ParkedState | null;
  #updates = 0;

  constructor(options: StepperOptions) {
    checkOptions(options);
    const { weights, ...others } = options;
    this.#options = others;
    this.#layout = layoutOf(weights);
    this.#parked = { weights, moments: null };
  }

  step(name: string, batch: Arrays, learningRate: number): Record<string, number> {
    this.#assertAlive();
    const { losses, optimizer } = this.#options;
    const what = `loss "${name}"`;
    const loss = entry('loss', losses, name);
    const key = programKey(what, this.#batches.accept(what, batch));
    if (!this.#steps.has(key)) {
      const trainable = this.#options.trainable?.[name] ?? Object.keys(this.#layout);
      const feeds = { layout: this.#layout, batch };
      const program = traceStep(what, loss, feeds, trainable, optimizer.clipNorm);
      this.#park();
      this.#steps.set(key, program);
    }
    const scalars = updateScalars(optimizer, this.#updates + 1, learningRate);
    const reported = this.#loaded().step(this.#steps.get(key)!, batch, scalars);
    this.#updates += 1;
    return reported;
  }

  async evaluate(name: string, batch: Arrays): Promise<Arrays> {
    this.#assertAlive();
    const what = `eval "${name}"`;
    const run = entry('eval', this.#options.evals ?? {}, name);
    const key = programKey(what, this.#batches.accept(what, batch));
    const evaluation =
      this.#evaluations.get(key) ??
      new Evaluation(traceEval(what, run, { layout: this.#layout, batch }), this.#layout);
    this.#markUsed(key, evaluation);
    if (!this.#session) return evaluation.run(this.#alive().weights, batch);
    const weights = this.#session.weights();
    try {
      return evaluation.run(weights, batch);
    } finally {
      release(Object.values(weights));
    }
  }

  #markUsed(key: string, evaluation: Evaluation): void {
    this.#evaluations.delete(key);
    this.#evaluations.set(key, evaluation);
    if (this.#evaluations.size <= MAX_EVALUATIONS) return;
    const [oldest] = this.#evaluations.keys();
    this.#evaluations.get(oldest!)!.dispose();
    this.#evaluations.delete(oldest!);
  }

  resetOptimizer(): void {
    this.#assertAlive();
    if (this.#session) this.#session.setMoments(null);
    else this.#alive().moments = null;
    this.#updates = 0;
  }

  async readState(): Promise<StepperState> {
    this.#assertAlive();
    return { ...(this.#session ? this.#session.read() : this.#copyParked()), updates: this.#updates };
  }

  writeState(state: StepperState): void {
    this.#assertAlive();
    checkState(this.#layout, state);
    const { weights, m, v } = state;
    const moments = { m, v };
    if (this.#session) this.#session.write(weights, moments);
    else this.#parked = { weights: copyArrays(weights), moments: { m: copyArrays(m), v: copyArrays(v) } };
    this.#updates = state.updates;
  }

  dispose(): void {
    this.#session?.dispose();
    this.#session = null;
    this.#parked = null;
    for (const evaluation of this.#evaluations.values()) evaluation.dispose();
    this.#evaluations.clear();
  }

  /** What is parked, while no session holds the state. */
  #alive(): ParkedState {
    this.#assertAlive();
    return this.#parked!;
  }

  #copyParked(): State {
    const { weights, moments } = this.#alive();
    const { m, v } = moments ?? { m: zeros(this.#layout), v: zeros(this.#layout) };
    return { weights: copyArrays(weights), m: copyArrays(m), v: copyArrays(v) };
  }

  #assertAlive(): void {
    if (!this.#session && !this.#parked) throw new Error('the stepper is disposed');
  }

  /** Takes the state out of the session and ends that. */
  #park(): void {
    if (!this.#session) return;
    const { weights, m, v } = this.#session.read();
    this.#parked = { weights, moments: { m, v } };
    this.#session.dispose();
    this.#session = null;
  }

  #loaded(): TrainingSession {
    if (this.#session) return this.#session;
    const { moments } = this.#alive();
    const session = this.#load();
    // Weights are let go of before there are moments; and not in there, where the stack still holds them.
    collectLarge(bytesOf(this.#layout));
    session.setMoments(moments);
    this.#session = session;
    return session;
  }

  /** Begins a session with the weights that are parked, which are let go of. */
  #load(): TrainingSession {
    const { weights } = this.#alive();
    const session = new TrainingSession(this.#layout, this.#steps.values(), this.#options.optimizer, weights);
    this.#parked = null;
    return session;
  }
}
