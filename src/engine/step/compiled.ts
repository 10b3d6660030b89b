/** Steps compiled for TensorFlow: one native call each, weights and moments kept in a session. */
import { updateScalars } from './adamw.ts';
import { copyArrays, type Layout, layoutOf, zeros } from './arrays.ts';
import { BatchCheck, checkOptions, checkState, entry } from './check.ts';
import { Graph, type Output } from './graph.ts';
import {
  batchFeeds,
  type EvalProgram,
  programKey,
  type StepProgram,
  traceEval,
  traceStep,
  writeEval,
  writeStep,
} from './program.ts';
import { Session } from './session.ts';
import type { Arrays, Stepper, StepperOptions, StepperState } from './stepper.ts';
import { PARTS, type Part, updateFeeds, Variables } from './variables.ts';

type State = Record<Part, Arrays>;

/** The graph of all programs met so far, loaded. */
interface Loaded {
  session: Session;
  variables: Variables;
  /** What to fetch, by program key. */
  fetches: Map<string, readonly Output[]>;
}

/**
 * Each loss and evaluation is traced for each batch shape that it meets, and all of them are fetches of one graph,
 * because variables belong to one session. A new one therefore loads a new graph, into which the state is carried.
 */
export class CompiledStepper implements Stepper {
  readonly #options: StepperOptions;
  readonly #layout: Layout;
  readonly #batches = new BatchCheck();
  readonly #steps = new Map<string, StepProgram>();
  readonly #evals = new Map<string, EvalProgram>();
  /** Where weights and moments are while no session holds them. */
  #parked: State | null;
  #loaded: Loaded | null = null;
  #updates = 0;

  constructor(options: StepperOptions) {
    checkOptions(options);
    this.#options = options;
    this.#layout = layoutOf(options.weights);
    this.#parked = { weights: copyArrays(options.weights), m: zeros(this.#layout), v: zeros(this.#layout) };
  }

  step(name: string, batch: Arrays, learningRate: number): Record<string, number> {
    const { losses, optimizer, trainable } = this.#options;
    const what = `loss "${name}"`;
    const loss = entry('loss', losses, name);
    const key = programKey(what, this.#batches.accept(what, batch));
    const names = trainable?.[name] ?? Object.keys(this.#layout);
    const program = this.#program(this.#steps, key, () =>
      traceStep(what, loss, { layout: this.#layout, batch }, names, optimizer.clipNorm),
    );
    const { session, fetches } = this.#load();
    const scalars = updateScalars(optimizer, this.#updates + 1, learningRate);
    const [values] = session.run(
      { ...batchFeeds(program, batch), ...updateFeeds(scalars) },
      fetches.get(key)!,
    );
    this.#updates += 1;
    return Object.fromEntries(program.scalars.map((scalar, i) => [scalar, values!.data[i]!]));
  }

  async evaluate(name: string, batch: Arrays): Promise<Arrays> {
    const what = `eval "${name}"`;
    const run = entry('eval', this.#options.evals ?? {}, name);
    const key = programKey(what, this.#batches.accept(what, batch));
    const program = this.#program(this.#evals, key, () =>
      traceEval(what, run, { layout: this.#layout, batch }),
    );
    const { session, fetches } = this.#load();
    const outputs = session.run(batchFeeds(program, batch), fetches.get(key)!);
    return Object.fromEntries(Object.keys(program.trace.results).map((output, i) => [output, outputs[i]!]));
  }

  resetOptimizer(): void {
    this.#write({ m: zeros(this.#layout), v: zeros(this.#layout) });
    this.#updates = 0;
  }

  async readState(): Promise<StepperState> {
    return { ...this.#read(), updates: this.#updates };
  }

  writeState(state: StepperState): void {
    checkState(this.#layout, state);
    this.#write({ weights: copyArrays(state.weights), m: copyArrays(state.m), v: copyArrays(state.v) });
    this.#updates = state.updates;
  }

  dispose(): void {
    this.#loaded?.session.dispose();
    this.#loaded = null;
    this.#parked = null;
  }

  #program<P>(programs: Map<string, P>, key: string, make: () => P): P {
    const known = programs.get(key);
    if (known) return known;
    const program = make();
    this.#park();
    programs.set(key, program);
    return program;
  }

  /** Takes the state out of the session and ends it. */
  #park(): void {
    if (!this.#loaded) return;
    const state = this.#read();
    this.#loaded.session.dispose();
    this.#loaded = null;
    this.#parked = state;
  }

  #load(): Loaded {
    if (this.#loaded) return this.#loaded;
    if (!this.#parked) throw new Error('the stepper is disposed');
    const graph = new Graph();
    const variables = new Variables(graph, this.#layout);
    const fetches = new Map<string, readonly Output[]>();
    for (const [key, program] of this.#steps)
      fetches.set(key, [writeStep(graph, variables, program, this.#options.optimizer)]);
    for (const [key, program] of this.#evals) fetches.set(key, writeEval(graph, variables, program));
    this.#loaded = { session: new Session(graph.toSavedModel()), variables, fetches };
    const state = this.#parked;
    this.#parked = null;
    this.#write(state);
    return this.#loaded;
  }

  /** Sets some parts of the state; the arrays become the stepper's. */
  #write(state: Partial<State>): void {
    if (this.#loaded) {
      const { session, variables } = this.#loaded;
      for (const part of PARTS) {
        const values = state[part];
        if (!values) continue;
        const { feeds, fetch } = variables.assignment(part, values);
        session.run(feeds, [fetch]);
      }
    } else if (this.#parked) {
      Object.assign(this.#parked, state);
    } else throw new Error('the stepper is disposed');
  }

  #read(): State {
    if (this.#parked) return { ...this.#parked };
    if (!this.#loaded) throw new Error('the stepper is disposed');
    const { session, variables } = this.#loaded;
    const names = Object.keys(this.#layout);
    const read = (part: Part): Arrays => {
      const values = session.run({}, variables.values(part));
      return Object.fromEntries(names.map((name, i) => [name, values[i]!]));
    };
    return { weights: read('weights'), m: read('m'), v: read('v') };
  }
}
