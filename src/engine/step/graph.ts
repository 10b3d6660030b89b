/** Writes a TensorFlow graph node by node and encodes it as a SavedModel. */
import { createHash } from 'node:crypto';
import { nativeBackend, type OpAttribute, typeNumber } from '../native/rawOps.ts';
import { type AttributeMessage, type NodeMessage, proto } from './proto.ts';
import { bytesOf, type Constant, type Operand, type RecordedOp, type Trace } from './trace.ts';

/** Version of the graph format (TensorFlow 2.9's); newer libraries read it as it was meant then. */
const PRODUCER = 1087;

/** A node's output, as other nodes name it: `name` or `name:1`; `^name` only orders. */
export type Output = string;

export class Graph {
  readonly #nodes: NodeMessage[] = [];
  readonly #constants = new Map<string, Output>();

  /** Adds a node and returns its first output. */
  node(name: string, op: string, inputs: readonly Output[], attributes: readonly OpAttribute[] = []): Output {
    const node = new proto.NodeDef();
    node.setName(name);
    node.setOp(op);
    node.setInputList(inputs);
    for (const attribute of attributes) node.getAttrMap().set(attribute.name, encode(attribute));
    this.#nodes.push(node);
    return name;
  }

  /** A constant node, the same one for the same values. */
  constant(constant: Constant): Output {
    const bytes = bytesOf(constant.values);
    const key = createHash('sha1').update(`${constant.dtype}[${constant.shape}]`).update(bytes).digest('hex');
    const known = this.#constants.get(key);
    if (known) return known;
    const output = this.node(`constant/${key}`, 'Const', []);
    const attributes = this.#nodes.at(-1)!.getAttrMap();
    attributes.set('dtype', typeAttribute(typeNumber(constant.dtype)));
    attributes.set('value', tensorAttribute(constant));
    this.#constants.set(key, output);
    return output;
  }

  /** A scalar constant. */
  scalar(value: number): Output {
    return this.constant({ dtype: 'float32', shape: [], values: Float32Array.of(value) });
  }

  /**
   * Adds the recorded ops that `wanted` needs, under a prefix.
   * @param inputs Outputs that stand for the trace's inputs.
   * @returns `output` tells what a recorded operand became, `nodes` are the names of all nodes added.
   */
  replay(prefix: string, trace: Trace, inputs: (name: string) => Output, wanted: readonly Operand[]) {
    const resolve = (operand: Operand): Output => {
      if (operand.from === 'input') return inputs(operand.name);
      if (operand.from === 'constant') return this.constant(operand.constant);
      return operand.output === 0 ? `${prefix}/${operand.op}` : `${prefix}/${operand.op}:${operand.output}`;
    };
    const needed = neededOps(trace.ops, wanted);
    const nodes: Output[] = [];
    for (const [index, op] of trace.ops.entries())
      if (needed.has(index))
        nodes.push(this.node(`${prefix}/${index}`, op.name, op.operands.map(resolve), op.attributes));
    return { output: resolve, nodes };
  }

  /** The bytes of a `saved_model.pb` with the tag `serve`. */
  toSavedModel(): Uint8Array {
    const graph = new proto.GraphDef();
    graph.setNodeList(this.#nodes);
    const versions = new proto.VersionDef();
    versions.setProducer(PRODUCER);
    graph.setVersions(versions);
    const info = new proto.MetaGraphDef.MetaInfoDef();
    info.setTagsList(['serve']);
    const metaGraph = new proto.MetaGraphDef();
    metaGraph.setMetaInfoDef(info);
    metaGraph.setGraphDef(graph);
    const model = new proto.SavedModel();
    model.setSavedModelSchemaVersion(1);
    model.setMetaGraphsList([metaGraph]);
    return model.serializeBinary();
  }
}

/** Indices of the ops that `wanted` depends on; a backward pass also computes what nobody asked for. */
function neededOps(ops: readonly RecordedOp[], wanted: readonly Operand[]): Set<number> {
  const needed = new Set<number>();
  const need = (operand: Operand) => {
    if (operand.from === 'op') needed.add(operand.op);
  };
  wanted.forEach(need);
  for (let index = ops.length - 1; index >= 0; index--)
    if (needed.has(index)) ops[index]!.operands.forEach(need);
  return needed;
}

function encode({ name, type, value }: OpAttribute): AttributeMessage {
  const { binding } = nativeBackend();
  const message = new proto.AttrValue();
  switch (type) {
    case binding.TF_ATTR_TYPE:
      return typeAttribute(value as number);
    case binding.TF_ATTR_STRING:
      message.setS(Buffer.from(value as string));
      return message;
    case binding.TF_ATTR_SHAPE:
      message.setShape(shapeMessage(value as readonly number[]));
      return message;
    case binding.TF_ATTR_INT:
      return Array.isArray(value) ? listAttribute('setIList', value) : set(message, 'setI', value as number);
    case binding.TF_ATTR_FLOAT:
      return Array.isArray(value) ? listAttribute('setFList', value) : set(message, 'setF', value as number);
    case binding.TF_ATTR_BOOL:
      return set(message, 'setB', value as boolean);
    default:
      throw new Error(`attribute ${name} has the unknown kind ${type}`);
  }
}

function set<M extends 'setI' | 'setF' | 'setB'>(
  message: AttributeMessage,
  method: M,
  value: Parameters<AttributeMessage[M]>[0],
): AttributeMessage {
  (message[method] as (value: number | boolean) => void)(value);
  return message;
}

function typeAttribute(dtype: number): AttributeMessage {
  const message = new proto.AttrValue();
  message.setType(dtype);
  return message;
}

function listAttribute(method: 'setIList' | 'setFList', values: readonly number[]): AttributeMessage {
  const list = new proto.AttrValue.ListValue();
  list[method](values);
  const message = new proto.AttrValue();
  message.setList(list);
  return message;
}

function tensorAttribute({ dtype, shape, values }: Constant): AttributeMessage {
  const tensor = new proto.Tensor();
  tensor.setDtype(typeNumber(dtype));
  tensor.setTensorShape(shapeMessage(shape));
  if (values.length !== 1) tensor.setTensorContent(bytesOf(values));
  else if (dtype === 'float32') tensor.setFloatValList([...values]);
  else if (dtype === 'int32') tensor.setIntValList([...values]);
  else tensor.setBoolValList(Array.from(values, Boolean));
  const message = new proto.AttrValue();
  message.setTensor(tensor);
  return message;
}

function shapeMessage(shape: readonly number[]) {
  const message = new proto.TensorShape();
  message.setDimList(
    shape.map((size) => {
      const dimension = new proto.TensorShape.Dim();
      dimension.setSize(size);
      return dimension;
    }),
  );
  return message;
}
