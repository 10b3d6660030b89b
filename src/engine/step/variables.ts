/** The part of a graph that holds weights and moments: their variables, and how they are written, read and updated. */
import { attribute } from '../native/rawOps.ts';
import { isDecayed, type UpdateScalars } from './adamw.ts';
import { type Layout, mapValues } from './arrays.ts';
import type { Graph, Output } from './graph.ts';
import type { AdamWSettings, Arrays, ArrayValue } from './stepper.ts';

export const PARTS = ['weights', 'm', 'v'] as const;
export type Part = (typeof PARTS)[number];

/** Placeholders of the numbers that change from step to step. */
const UPDATE_SCALARS = ['rate', 'epsilon', 'decay'] as const;

export class Variables {
  readonly #graph: Graph;
  readonly #names: readonly string[];
  readonly #reads = new Map<string, Output>();

  /** Adds the variables of `layout` to the graph; they hold nothing until they are assigned. */
  constructor(graph: Graph, layout: Layout) {
    this.#graph = graph;
    this.#names = Object.keys(layout);
    for (const part of PARTS) this.#declare(part, layout);
    for (const name of UPDATE_SCALARS) placeholder(graph, name, { dtype: 'float32', shape: [] });
  }

  #declare(part: Part, layout: Layout): void {
    const graph = this.#graph;
    const assigned = Object.values(layout).map((variable, index) => {
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
      return graph.node(`${node}/assign`, 'AssignVariableOp', [handle, copy], [dtype]);
    });
    after(graph, `${part}/assigned`, graph.scalar(0), assigned);
  }

  /** What to feed, and to fetch, in order to set all variables of a part. */
  assignment(part: Part, values: Arrays): { feeds: Record<string, ArrayValue>; fetch: Output } {
    const feeds = this.#names.map((name, index) => [`${part}/${index}/new`, values[name]!]);
    return { feeds: Object.fromEntries(feeds), fetch: `${part}/assigned` };
  }

  /** What to fetch for the values of a part, in the order of the layout. */
  values(part: Part): Output[] {
    return this.#names.map((_, index) => `${part}/${index}/value`);
  }

  /** A weight as a program sees it: as it was before any update of the same call. */
  read(program: string, name: string): Output {
    const index = this.#names.indexOf(name);
    const node = `${program}/weight/${index}`;
    const known = this.#reads.get(node);
    if (known) return known;
    const read = this.#graph.node(
      node,
      'ReadVariableOp',
      [`weights/${index}`],
      [attribute.type('dtype', 'float32')],
    );
    this.#reads.set(node, read);
    return read;
  }

  /** Adds one AdamW update, `applyAdamW` in native ops; returns the node that is done when the weight is updated. */
  update(program: string, name: string, gradient: Output, settings: AdamWSettings): Output {
    const graph = this.#graph;
    const index = this.#names.indexOf(name);
    const node = `${program}/update/${index}`;
    const type = attribute.type('T', 'float32');
    const read = this.read(program, name);
    let ready = read;
    if (isDecayed(settings, name)) {
      const decay = graph.node(`${node}/decay`, 'Mul', [read, 'decay'], [type]);
      const dtype = attribute.type('dtype', 'float32');
      ready = graph.node(`${node}/decayed`, 'AssignSubVariableOp', [`weights/${index}`, decay], [dtype]);
    }
    // Beta powers of zero leave `rate` as it is: it is fed with both bias corrections, computed in double precision.
    const powers = [graph.scalar(0), graph.scalar(0)];
    const betas = [graph.scalar(settings.beta1), graph.scalar(settings.beta2)];
    const moments = [`m/${index}`, `v/${index}`];
    const inputs = [
      `weights/${index}`,
      ...moments,
      ...powers,
      'rate',
      ...betas,
      'epsilon',
      gradient,
      `^${ready}`,
    ];
    return graph.node(`${node}/adam`, 'ResourceApplyAdam', inputs, [type]);
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
