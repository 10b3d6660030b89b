/** Steps run op by op: slower than compiled ones, but on any backend. */
import { dispose, keep, mul, tidy } from '@tensorflow/tfjs-core';
import type { Arrays } from '../contract/arrays.ts';
import { applyAdamW, isDecayed, updateScalars } from './adamw.ts';
import { copyArrays, type Layout, layoutOf, mapValues, toArray, toTensors, zeros } from './arrays.ts';
import { BatchCheck, checkOptions, checkState, entry } from './check.ts';
import { type Differentiated, differentiate } from './gradients.ts';
import type { Stepper, StepperOptions, StepperState, Tensors } from './stepper.ts';

/** Weights and moments as tensors of the current backend, until `dispose`. */
export class EagerStepper implements Stepper {
  readonly #options: StepperOptions;
  readonly #layout: Layout;
  readonly #batches = new BatchCheck();
  #weights: Tensors;
  #m: Tensors;
  #v: Tensors;
  #updates = 0;
  #disposed = false;

  constructor(options: StepperOptions) {
    checkOptions(options);
    this.#options = options;
    this.#layout = layoutOf(options.weights);
    this.#weights = upload(options.weights);
    this.#m = upload(zeros(this.#layout));
    this.#v = upload(zeros(this.#layout));
  }

  step(name: string, batch: Arrays, learningRate: number): Record<string, number> {
    this.#assertAlive();
    const { losses, optimizer, trainable } = this.#options;
    const loss = entry('loss', losses, name);
    const names = trainable?.[name] ?? Object.keys(this.#weights);
    this.#batches.accept(`loss "${name}"`, batch);
    const scalars = tidy(() => {
      const feeds = { weights: this.#weights, batch: toTensors(batch) };
      const result = differentiate(`loss "${name}"`, loss, feeds, names, optimizer.clipNorm);
      this.#update(result, learningRate);
      return result.scalars;
    });
    this.#updates += 1;
    const values = mapValues(scalars, (value) => value.dataSync()[0]!);
    dispose(scalars);
    return values;
  }

  #update({ gradients, scale }: Differentiated, learningRate: number): void {
    const { optimizer } = this.#options;
    const scalars = updateScalars(optimizer, this.#updates + 1, learningRate);
    for (const [name, unscaled] of Object.entries(gradients)) {
      const gradient = scale ? mul(unscaled, scale) : unscaled;
      const before = { weight: this.#weights[name]!, m: this.#m[name]!, v: this.#v[name]! };
      const after = applyAdamW(optimizer, scalars, isDecayed(optimizer, name), { ...before, gradient });
      this.#weights[name] = keep(after.weight);
      this.#m[name] = keep(after.m);
      this.#v[name] = keep(after.v);
      dispose(before);
    }
  }

  async evaluate(name: string, batch: Arrays): Promise<Arrays> {
    this.#assertAlive();
    const run = entry('eval', this.#options.evals ?? {}, name);
    this.#batches.accept(`eval "${name}"`, batch);
    let outputs: Arrays = {};
    tidy(() => {
      outputs = mapValues(run(this.#weights, toTensors(batch)), toArray);
    });
    return outputs;
  }

  resetOptimizer(): void {
    this.#assertAlive();
    dispose([this.#m, this.#v]);
    this.#m = upload(zeros(this.#layout));
    this.#v = upload(zeros(this.#layout));
    this.#updates = 0;
  }

  async readState(): Promise<StepperState> {
    this.#assertAlive();
    return {
      weights: mapValues(this.#weights, toArray),
      m: mapValues(this.#m, toArray),
      v: mapValues(this.#v, toArray),
      updates: this.#updates,
    };
  }

  writeState(state: StepperState): void {
    this.#assertAlive();
    checkState(this.#layout, state);
    dispose([this.#weights, this.#m, this.#v]);
    this.#weights = upload(copyArrays(state.weights));
    this.#m = upload(copyArrays(state.m));
    this.#v = upload(copyArrays(state.v));
    this.#updates = state.updates;
  }

  dispose(): void {
    dispose([this.#weights, this.#m, this.#v]);
    this.#disposed = true;
  }

  #assertAlive(): void {
    if (this.#disposed) throw new Error('the stepper is disposed');
  }
}

/** Tensors that outlive any `tidy`; they may share the arrays' memory. */
function upload(arrays: Arrays): Tensors {
  return mapValues(toTensors(arrays), (value) => keep(value));
}
