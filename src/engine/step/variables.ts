/** The part of a graph that holds weights and moments: their variables, and how they are written, read and updated. */

import type { ArrayValue } from '../contract/arrays.ts';
import { attribute, hasKernels, type OpAttribute } from '../native/rawOps.ts';
import { isDecayed, type UpdateScalars } from './adamw.ts';
import { type Layout, mapValues } from './arrays.ts';
import { type Gradient, whole } from './gradient.ts';
import type { Graph, Output } from './graph.ts';
import type { AdamWSettings } from './stepper.ts';

export const PARTS = ['weights', 'm', 'v'] as const;
export type Part = (typeof PARTS)[number];

/** The float32 type as the attribute of either name. */
const FLOAT = { T: () => attribute.type('T', 'float32'), dtype: () => attribute.type('dtype', 'float32') };

/** Placeholders of the numbers that change from step to step. */
const UPDATE_SCALARS = ['rate', 'epsilon', 'decay'] as const;

export class Variables {
  readonly #graph: Graph;
  readonly #names: readonly string[];

  /** Adds the variables of `layout` to the graph; they hold nothing until they are assigned. */
  constructor(graph: Graph, layout: Layout) {
    this.#graph = graph;
    this.#names = Object.keys(layout);
    for (const part of PARTS) this.#declare(part, layout);
    for (const name of UPDATE_SCALARS) placeholder(graph, name, { dtype: 'float32', shape: [] });
  }

  #declare(part: Part, layout: Layout): void {
    const graph = this.#graph;
    Object.values(layout).forEach((variable, index) => {
      const node = `${part}/${index}`;
      const dtype = attribute.type('dtype', variable.dtype);
      const handle = graph.node(
        node,
        'VarHandleOp',
        [],
        [dtype, attribute.shape('shape', variable.shape), attribute.string('shared_name', node)],
      );
      graph.node(`${node}/value`, 'ReadVariableOp', [handle], [dtype]);
      const fed = placeholder(graph, `${node}/new`, variable);
      // What is fed is JavaScript's memory, and a variable would keep it and write to it: give it a copy of its own.
      const copy = graph.node(`${node}/copy`, 'DeepCopy', [fed], [attribute.type('T', variable.dtype)]);
      const assign = graph.node(`${node}/assign`, 'AssignVariableOp', [handle, copy], [dtype]);
      after(graph, `${node}/assigned`, graph.scalar(0), [assign]);
      if (part !== 'weights') this.#declareZeros(node, handle, variable, dtype);
    });
  }

  /**
   * Zeros are made where they are kept, for those of JavaScript would wait for its collector, large as they may be; by an
   * op that makes new memory each time, for kernels write to it.
   */
  #declareZeros(node: string, handle: Output, { dtype, shape }: Layout[string], type: OpAttribute): void {
    const graph = this.#graph;
    const sizes = graph.constant({ dtype: 'int32', shape: [shape.length], values: Int32Array.from(shape) });
    const attributes = [attribute.type('dtype', dtype), attribute.bool('init', true)];
    const zeros = graph.node(`${node}/zeros`, 'Empty', [sizes], attributes);
    const assign = graph.node(`${node}/zeroed`, 'AssignVariableOp', [handle, zeros], [type]);
    after(graph, `${node}/reset`, graph.scalar(0), [assign]);
  }

  /** What to feed and to fetch in order to set one variable: one at a time, for what is fed is there twice meanwhile. */
  assignment(
    part: Part,
    name: string,
    value: ArrayValue,
  ): { feeds: Record<string, ArrayValue>; fetch: Output } {
    const node = this.#variable(part, name);
    return { feeds: { [`${node}/new`]: value }, fetch: `${node}/assigned` };
  }

  /** What to fetch in order to set all moments to 0. */
  get resets(): Output[] {
    return PARTS.slice(1).flatMap((part) => this.#names.map((name) => `${this.#variable(part, name)}/reset`));
  }

  /** What to fetch for the values of a part, in the order of the layout. */
  values(part: Part): Output[] {
    return this.#names.map((name) => `${this.#variable(part, name)}/value`);
  }

  /** Reads a weight for a program, at `node`. */
  read(node: string, name: string): Output {
    return this.#graph.node(node, 'ReadVariableOp', [this.#variable('weights', name)], [FLOAT.dtype()]);
  }

  /**
   * Adds one AdamW update, `applyAdamW` in native ops, at `node`.
   * @param before The weight as `read` before.
   * @param scale A scalar that the gradient is multiplied by; null for 1.
   * @param computed The node that is done when nothing else reads weights in this step.
   * @returns The node that is done when the weight is updated.
   */
  update(
    node: string,
    name: string,
    before: Output,
    gradient: Gradient<Output>,
    scale: Output | null,
    computed: Output,
    settings: AdamWSettings,
  ): Output {
    const state = PARTS.map((part) => this.#variable(part, name)) as [Output, Output, Output];
    if (!hasKernels()) return this.#apply(node, name, state, before, whole(gradient), scale, settings);
    const graph = this.#graph;
    // The kernels write to the very memory that is read here, which is the variables' own.
    const [m, v] = state
      .slice(1)
      .map((handle, i) => graph.node(`${node}/moment/${i}`, 'ReadVariableOp', [handle], [FLOAT.dtype()])) as [
      Output,
      Output,
    ];
    const decay = isDecayed(settings, name) ? 'decay' : graph.scalar(0);
    const betas = graph.constant({
      dtype: 'float32',
      shape: [2],
      values: Float32Array.of(settings.beta1, settings.beta2),
    });
    const numbers = ['rate', 'epsilon', decay];
    const [op, operands, factor] =
      'whole' in gradient
        ? ['AlignsaeUpdate', [gradient.whole], [scale ?? graph.scalar(1)]]
        : [gradient.update, gradient.operands, []];
    const inputs = [before, m, v, ...operands, ...numbers, betas, ...factor];
    return graph.node(`${node}/update`, op, [...inputs, `^${computed}`]);
  }

  /** The update by TensorFlow's own op, which any device has. */
  #apply(
    node: string,
    name: string,
    [weight, m, v]: readonly [Output, Output, Output],
    before: Output,
    gradient: Output,
    scale: Output | null,
    settings: AdamWSettings,
  ): Output {
    const graph = this.#graph;
    const scaled = scale ? graph.node(`${node}/scaled`, 'Mul', [gradient, scale], [FLOAT.T()]) : gradient;
    let ready = before;
    if (isDecayed(settings, name)) {
      const decay = graph.node(`${node}/decay`, 'Mul', [before, 'decay'], [FLOAT.T()]);
      ready = graph.node(`${node}/decayed`, 'AssignSubVariableOp', [weight, decay], [FLOAT.dtype()]);
    }
    // Beta powers of zero leave `rate` as it is: it is fed with both bias corrections, computed in double precision.
    const powers = [graph.scalar(0), graph.scalar(0)];
    const betas = [graph.scalar(settings.beta1), graph.scalar(settings.beta2)];
    const inputs = [weight, m, v, ...powers, 'rate', ...betas, 'epsilon', scaled, `^${ready}`];
    return graph.node(`${node}/adam`, 'ResourceApplyAdam', inputs, [FLOAT.T()]);
  }

  #variable(part: Part, name: string): Output {
    return `${part}/${this.#names.indexOf(name)}`;
  }
}

/** What to feed for the numbers of one update. */
export function updateFeeds(scalars: UpdateScalars): Record<string, ArrayValue> {
  return mapValues(scalars, (value) => ({ data: Float32Array.of(value), shape: [] }));
}

/** Adds a node that is fed. */
export function placeholder(graph: Graph, name: string, { dtype, shape }: Layout[string]): Output {
  return graph.node(
    name,
    'Placeholder',
    [],
    [attribute.type('dtype', dtype), attribute.shape('shape', shape)],
  );
}

/** Adds a node with the value of `output` that waits for `others`. */
export function after(graph: Graph, name: string, output: Output, others: readonly Output[]): Output {
  const inputs = [output, ...others.map((other) => `^${other}`)];
  return graph.node(name, 'Identity', inputs, [attribute.type('T', 'float32')]);
}
