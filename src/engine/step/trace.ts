/**
 * Records the TensorFlow ops that a function runs. Every kernel of tfjs-node passes through two methods of its
 * backend, so watching those while the function runs once for real sees all that it computes.
 */
import { type DataId, engine, findBackend, type Tensor, tidy } from '@tensorflow/tfjs-core';
import { attribute, type NativeBackend, nativeBackend, type OpAttribute } from '../native/rawOps.ts';
import type { Tensors } from './stepper.ts';

/** A tensor that no recorded op made: built in JavaScript, or closed over. Its values become part of the graph. */
export interface Constant {
  dtype: 'float32' | 'int32' | 'bool';
  shape: readonly number[];
  /** One value stands for all where they are equal: gradients are full of ones in the shapes of activations. */
  values: Float32Array | Int32Array | Uint8Array;
}

/** Where an operand comes from. */
export type Operand =
  | { from: 'input'; name: string }
  | { from: 'op'; op: number; output: number }
  | { from: 'constant'; constant: Constant };

export interface RecordedOp {
  name: string;
  attributes: readonly OpAttribute[];
  operands: readonly Operand[];
}

export interface Trace {
  /** In the order they ran, so operands come before the ops that read them. */
  ops: readonly RecordedOp[];
  results: Record<string, Operand>;
}

/** Ops that draw: in a graph they would go on from a state that no checkpoint holds. */
const RANDOM_OP = /^(Multinomial|.*Random|TruncatedNormal|ParameterizedTruncatedNormal)/;

/** Type attributes that a tfjs-node kernel leaves for eager TensorFlow to infer, by op. */
const INFERRED_TYPE: Readonly<Record<string, string>> = { ExpandDims: 'T' };

/**
 * Runs `run` and records what it does with `inputs`; all its tensors are disposed.
 * @param what Names the function in errors, such as `loss "lm"`.
 * @throws Error when it draws random numbers or reads a tensor back, for the graph would freeze what it saw.
 */
export function trace(what: string, inputs: Tensors, run: () => Tensors): Trace {
  const first = record(what, inputs, run);
  // Numbers drawn in JavaScript leave no op behind; only a second run can tell them from constants.
  assertSame(what, first, record(what, inputs, run));
  return first;
}

function record(what: string, inputs: Tensors, run: () => Tensors): Trace {
  const recorder = new Recorder(what, inputs);
  const restore = watch(recorder);
  try {
    let results: Record<string, Operand> = {};
    tidy(() => {
      results = Object.fromEntries(
        Object.entries(run()).map(([name, value]) => [name, recorder.operand(value)]),
      );
    });
    return { ops: recorder.ops, results };
  } finally {
    restore();
  }
}

class Recorder {
  readonly what: string;
  readonly ops: RecordedOp[] = [];
  readonly #origins = new Map<DataId, Operand>();

  constructor(what: string, inputs: Tensors) {
    this.what = what;
    for (const [name, input] of Object.entries(inputs))
      this.#origins.set(input.dataId, { from: 'input', name });
  }

  /** Notes an op that ran; called with its outputs. */
  add(
    name: string,
    attributes: readonly OpAttribute[],
    inputs: readonly Tensor[],
    outputs: readonly Tensor[],
  ): void {
    if (RANDOM_OP.test(name))
      throw new Error(
        `${this.what} draws random numbers (${name}); draw them outside and feed them with the batch`,
      );
    const inferred = INFERRED_TYPE[name];
    const given = inferred ? [...attributes, attribute.type(inferred, inputs[0]!.dtype)] : attributes;
    const operands = inputs.map((input) => this.operand(input));
    this.ops.push({ name, attributes: given, operands });
    for (const [output, tensor] of outputs.entries())
      this.#origins.set(tensor.dataId, { from: 'op', op: this.ops.length - 1, output });
  }

  operand(tensor: Tensor): Operand {
    const known = this.#origins.get(tensor.dataId);
    if (known) return known;
    const constant: Operand = { from: 'constant', constant: this.#constant(tensor) };
    this.#origins.set(tensor.dataId, constant);
    return constant;
  }

  #constant({ dataId, dtype, shape }: Tensor): Constant {
    if (dtype !== 'float32' && dtype !== 'int32' && dtype !== 'bool')
      throw new Error(`${this.what} uses a ${dtype} tensor; a step can be made of float32, int32 and bool`);
    const values = findBackend('tensorflow').readSync(dataId) as Constant['values'];
    const uniform = values.every((value) => Object.is(value, values[0]));
    return { dtype, shape: [...shape], values: uniform ? values.slice(0, 1) : values.slice() };
  }
}

/** Routes the backend's ops through the recorder and refuses read-backs, until the returned function is called. */
function watch(recorder: Recorder): () => void {
  const backend = nativeBackend();
  const { executeSingleOutput, executeMultipleOutputs } = backend;
  const watched: Partial<NativeBackend> = {
    executeSingleOutput(name, attributes, inputs) {
      const output = executeSingleOutput.call(backend, name, attributes, inputs);
      recorder.add(name, attributes, inputs, [output]);
      return output;
    },
    executeMultipleOutputs(name, attributes, inputs, count) {
      const outputs = executeMultipleOutputs.call(backend, name, attributes, inputs, count);
      recorder.add(name, attributes, inputs, outputs);
      return outputs;
    },
  };
  const refuse = () => {
    throw new Error(
      `${recorder.what} reads a tensor back (data, dataSync, array, print …); compiled, it would go on with what it read now`,
    );
  };
  // Read-backs by the caller pass through the engine; kernels that check their operands ask the backend directly.
  return override(backend, watched, override(engine(), { read: refuse, readSync: refuse }));
}

/** Shadows methods of an object by own properties; returns what takes them off again, and then calls `next`. */
function override<T extends object>(target: T, methods: Partial<T>, next: () => void = () => {}): () => void {
  Object.assign(target, methods);
  return () => {
    for (const name of Object.keys(methods)) delete target[name as keyof T];
    next();
  };
}

function assertSame(what: string, first: Trace, second: Trace): void {
  const differs = first.ops.findIndex((op, i) => !isSameOp(op, second.ops[i]));
  if (differs === -1 && first.ops.length === second.ops.length) return;
  const op = first.ops[differs]?.name ?? 'its length';
  throw new Error(
    `${what} is not the same twice (${op} differs): it draws random numbers or keeps state; feed what changes with the batch`,
  );
}

function isSameOp(a: RecordedOp, b: RecordedOp | undefined): boolean {
  return (
    a.name === b?.name &&
    JSON.stringify(a.attributes) === JSON.stringify(b.attributes) &&
    a.operands.length === b.operands.length &&
    a.operands.every((operand, i) => isSameOperand(operand, b.operands[i]!))
  );
}

function isSameOperand(a: Operand, b: Operand): boolean {
  if (a.from === 'constant' && b.from === 'constant') return isSameConstant(a.constant, b.constant);
  return JSON.stringify(a) === JSON.stringify(b);
}

function isSameConstant(a: Constant, b: Constant): boolean {
  return (
    a.dtype === b.dtype &&
    a.shape.join() === b.shape.join() &&
    Buffer.compare(bytesOf(a.values), bytesOf(b.values)) === 0
  );
}

/** The memory behind a typed array, not copied. */
export function bytesOf(values: Constant['values']): Buffer {
  return Buffer.from(values.buffer, values.byteOffset, values.byteLength);
}
