/** TensorFlow's graph messages, by the classes that tfjs-node ships for reading SavedModels; it ships no types. */
import { requireOfTfjsNode } from '../native/tfjsNode.ts';

type List<T> = (items: readonly T[]) => void;
export interface ShapeMessage {
  setDimList: List<object>;
}
export interface TensorMessage {
  setDtype(dtype: number): void;
  setTensorShape(shape: ShapeMessage): void;
  setTensorContent(content: Uint8Array): void;
  setFloatValList: List<number>;
  setIntValList: List<number>;
  setBoolValList: List<boolean>;
}
export interface AttributeListMessage {
  setIList: List<number>;
  setFList: List<number>;
  setBList: List<boolean>;
}
export interface AttributeMessage {
  setS(value: Uint8Array): void;
  setI(value: number): void;
  setF(value: number): void;
  setB(value: boolean): void;
  setType(value: number): void;
  setShape(value: ShapeMessage): void;
  setTensor(value: TensorMessage): void;
  setList(value: AttributeListMessage): void;
}
export interface NodeMessage {
  setName(name: string): void;
  setOp(op: string): void;
  setInputList: List<string>;
  getAttrMap(): { set(name: string, value: AttributeMessage): void };
}
interface GraphMessage {
  setNodeList: List<NodeMessage>;
  setVersions(versions: object): void;
}
interface MetaGraphMessage {
  setMetaInfoDef(info: object): void;
  setGraphDef(graph: GraphMessage): void;
}
interface SavedModelMessage {
  setSavedModelSchemaVersion(version: number): void;
  setMetaGraphsList: List<MetaGraphMessage>;
  serializeBinary(): Uint8Array;
}

export const proto = requireOfTfjsNode('dist/proto/api_pb.js') as {
  TensorShape: { new (): ShapeMessage; Dim: new () => { setSize(size: number): void } };
  Tensor: new () => TensorMessage;
  AttrValue: { new (): AttributeMessage; ListValue: new () => AttributeListMessage };
  NodeDef: new () => NodeMessage;
  GraphDef: new () => GraphMessage;
  VersionDef: new () => { setProducer(version: number): void };
  MetaGraphDef: { new (): MetaGraphMessage; MetaInfoDef: new () => { setTagsList: List<string> } };
  SavedModel: new () => SavedModelMessage;
};
