/** One loss or evaluation for one batch shape: traced once, then part of every graph that its stepper loads. */
import { createHash } from 'node:crypto';
import { dispose } from '@tensorflow/tfjs-core';
import { attribute } from '../native/rawOps.ts';
import { describe, type Layout, layoutOf, toTensors, zeros } from './arrays.ts';
import { differentiate } from './gradients.ts';
import type { Graph, Output } from './graph.ts';
import type { AdamWSettings, Arrays, ArrayValue, EvalFunction, LossFunction, Tensors } from './stepper.ts';
import { type Operand, type Trace, trace } from './trace.ts';
import { after, placeholder, type Variables } from './variables.ts';

/** A function of (weights, batch) as recorded for one batch shape. */
export interface Program {
  /** First part of its nodes' names. It follows from `key` alone, so that the same program is the same graph. */
  readonly prefix: string;
  readonly batch: Layout;
  readonly trace: Trace;
}

/** A training step; fetches one vector, the `scalars` in their order, once every weight is updated. */
export interface StepProgram extends Program {
  readonly scalars: readonly string[];
  /** Names of the weights that have a gradient. */
  readonly trained: readonly string[];
}

/** An evaluation; fetches its outputs by the order of the trace's results. */
export type EvalProgram = Program;

/** Identifies a function together with the shapes of its batch. */
export function programKey(what: string, batch: Layout): string {
  return `${what} of ${Object.keys(batch)
    .sort()
    .map((name) => `${name} ${describe(batch[name]!)}`)
    .join(', ')}`;
}

/** Traces a training step on one batch. @throws Error when the loss cannot be compiled; see `trace`. */
export function traceStep(
  what: string,
  loss: LossFunction,
  { layout, batch }: { layout: Layout; batch: Arrays },
  trainable: readonly string[],
  clipNorm: number | null,
): StepProgram {
  let scalars: string[] = [];
  let trained: string[] = [];
  const program = traceProgram(what, { layout, batch }, (weights, fed) => {
    const result = differentiate(what, loss, { weights, batch: fed }, trainable, clipNorm);
    scalars = Object.keys(result.scalars);
    trained = Object.keys(result.gradients);
    return { ...prefixed('scalar/', result.scalars), ...prefixed('gradient/', result.gradients) };
  });
  return { ...program, scalars, trained };
}

/** Traces an evaluation on one batch. @throws Error when it cannot be compiled; see `trace`. */
export function traceEval(
  what: string,
  run: EvalFunction,
  feeds: { layout: Layout; batch: Arrays },
): EvalProgram {
  return traceProgram(what, feeds, run);
}

function traceProgram(
  what: string,
  { layout, batch }: { layout: Layout; batch: Arrays },
  run: (weights: Tensors, batch: Tensors) => Tensors,
): Program {
  const key = programKey(what, layoutOf(batch));
  // No value may matter while recording, so zeros do for weights; indices in a batch are checked by eager gathers.
  const weights = toTensors(zeros(layout));
  const fed = toTensors(batch);
  try {
    const inputs = { ...prefixed('weight/', weights), ...prefixed('batch/', fed) };
    return {
      prefix: createHash('sha1').update(key).digest('hex'),
      batch: layoutOf(batch),
      trace: trace(what, inputs, () => run(weights, fed)),
    };
  } finally {
    dispose([weights, fed]);
  }
}

/** Adds a training step to the graph and returns what to fetch. */
export function writeStep(
  graph: Graph,
  variables: Variables,
  program: StepProgram,
  settings: AdamWSettings,
): Output {
  const output = writeProgram(graph, variables, program);
  const { results } = program.trace;
  const updates = program.trained.map((name) =>
    variables.update(program.prefix, name, output(results[`gradient/${name}`]!), settings),
  );
  const values = program.scalars.map((name) => output(results[`scalar/${name}`]!));
  const packed = graph.node(`${program.prefix}/packed`, 'Pack', values, [
    attribute.int('N', values.length),
    attribute.type('T', 'float32'),
  ]);
  return after(graph, `${program.prefix}/scalars`, packed, updates);
}

/** Adds an evaluation to the graph and returns what to fetch, in the order of its results. */
export function writeEval(graph: Graph, variables: Variables, program: EvalProgram): Output[] {
  return Object.values(program.trace.results).map(writeProgram(graph, variables, program));
}

function writeProgram(graph: Graph, variables: Variables, program: Program): (operand: Operand) => Output {
  const { prefix, batch, trace } = program;
  const inputs: Record<string, Output> = {};
  for (const [name, layout] of Object.entries(batch))
    inputs[`batch/${name}`] = placeholder(graph, batchNode(program, name), layout);
  const input = (name: string) => inputs[name] ?? variables.read(prefix, name.slice('weight/'.length));
  return graph.replay(prefix, trace, input, Object.values(trace.results));
}

/** What to feed for a batch. */
export function batchFeeds(program: Program, batch: Arrays): Record<string, ArrayValue> {
  return Object.fromEntries(Object.entries(batch).map(([name, value]) => [batchNode(program, name), value]));
}

/** Numbered, because names of the caller's may hold what TensorFlow's node names must not. */
function batchNode({ prefix, batch }: Program, name: string): string {
  return `${prefix}/batch/${Object.keys(batch).sort().indexOf(name)}`;
}

function prefixed<T>(prefix: string, record: Readonly<Record<string, T>>): Record<string, T> {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [prefix + name, value]));
}
