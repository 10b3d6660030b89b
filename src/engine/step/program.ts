/** One loss or evaluation for one batch shape: traced once, then part of every graph that its stepper loads. */
import { createHash } from 'node:crypto';
import { dispose } from '@tensorflow/tfjs-core';
import type { Arrays, ArrayValue } from '../contract/arrays.ts';
import { attribute } from '../native/rawOps.ts';
import { describe, type Layout, layoutOf, toTensors, zeros } from './arrays.ts';
import { gradientOf, mapOperands, operandsOf } from './gradient.ts';
import { differentiate } from './gradients.ts';
import { Graph, type Output } from './graph.ts';
import type { AdamWSettings, EvalFunction, LossFunction, Tensors } from './stepper.ts';
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
    return {
      ...prefixed('scalar/', result.scalars),
      ...prefixed('gradient/', result.gradients),
      ...(result.scale && { scale: result.scale }),
    };
  });
  return { ...program, scalars, trained };
}

/** Traces an evaluation on one batch. @throws Error when it cannot be compiled; see `trace`. */
export function traceEval(
  what: string,
  run: EvalFunction,
  feeds: { layout: Layout; batch: Arrays },
): Program {
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
  const { prefix, trace, scalars, trained } = program;
  const gradients = trained.map((name) => gradientOf(trace, trace.results[`gradient/${name}`]!));
  const values = scalars.map((name) => trace.results[`scalar/${name}`]!);
  const scaled = trace.results.scale ? [trace.results.scale] : [];
  const wanted = [...values, ...scaled, ...gradients.flatMap(operandsOf)];
  const read = (node: string, name: string) => variables.read(node, name);
  const { input, output, nodes } = writeProgram(graph, program, wanted, read);
  // Updates overwrite what the other ops read.
  const computed = graph.node(
    `${prefix}/computed`,
    'NoOp',
    nodes.map((node) => `^${node}`),
  );
  const scale = scaled[0] ? output(scaled[0]) : null;
  const updates = trained.map((name, i) => {
    const node = `${prefix}/update/${i}`;
    const before = input(`weight/${name}`);
    return variables.update(
      node,
      name,
      before,
      mapOperands(gradients[i]!, output),
      scale,
      computed,
      settings,
    );
  });
  const attributes = [attribute.int('N', values.length), attribute.type('T', 'float32')];
  const packed = graph.node(`${prefix}/packed`, 'Pack', values.map(output), attributes);
  return after(graph, `${prefix}/scalars`, packed, updates);
}

/** Writes the graph of an evaluation, to which the weights are fed; returns what to feed and to fetch. */
export function writeEval(
  program: Program,
  layout: Layout,
): { graph: Graph; placeholders: ReadonlyMap<string, Output>; fetches: readonly Output[] } {
  const graph = new Graph();
  const placeholders = new Map<string, Output>();
  const { output } = writeProgram(graph, program, Object.values(program.trace.results), (node, name) => {
    placeholders.set(name, placeholder(graph, node, layout[name]!));
    return node;
  });
  const fetches = Object.values(program.trace.results).map((operand, i) => {
    if (operand.from !== 'input') return output(operand);
    // TensorFlow does not fetch what it is fed.
    const name = operand.name.slice(operand.name.indexOf('/') + 1);
    const { dtype } = (operand.name.startsWith('batch/') ? program.batch : layout)[name]!;
    return graph.node(
      `${program.prefix}/output/${i}`,
      'Identity',
      [output(operand)],
      [attribute.type('T', dtype)],
    );
  });
  return { graph, placeholders, fetches };
}

/** Adds what `wanted` needs of what a program recorded; `weight` adds the node that a weight comes from. */
function writeProgram(
  graph: Graph,
  program: Program,
  wanted: readonly Operand[],
  weight: (node: string, name: string) => Output,
): { input: (name: string) => Output; output: (operand: Operand) => Output; nodes: readonly Output[] } {
  const { prefix, batch, trace } = program;
  const inputs = new Map<string, Output>();
  for (const [name, layout] of Object.entries(batch))
    inputs.set(`batch/${name}`, placeholder(graph, batchNode(program, name), layout));
  const input = (name: string) => {
    const node = inputs.get(name) ?? weight(`${prefix}/weight/${inputs.size}`, name.slice('weight/'.length));
    inputs.set(name, node);
    return node;
  };
  return { input, ...graph.replay(prefix, trace, input, wanted) };
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
