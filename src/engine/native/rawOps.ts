/**
 * TensorFlow's own ops, run through the tfjs-node backend. What they return is an ordinary tensor: `tidy` and
 * `dispose` apply, gradients do not (wrap them in `customGrad`). Resource handles appear as tensors of dtype `string`.
 */
import { type DataType, findBackend, getBackend, type Tensor } from '@tensorflow/tfjs-core';

export interface TensorMetadata {
  id: number;
  shape: number[];
  dtype: number;
}

export interface OpAttribute {
  name: string;
  type: number;
  value: boolean | number | string | readonly number[];
}

/** The addon's exports that the engine uses, beside the numbers of TensorFlow's types (`TF_FLOAT`) and attributes. */
export interface NativeBinding {
  createTensor(
    shape: readonly number[],
    dtype: number,
    values: Float32Array | Int32Array | Uint8Array,
  ): number;
  deleteTensor(id: number): void;
  tensorDataSync(id: number): Float32Array | Int32Array | Uint8Array;
  executeOp(
    name: string,
    attributes: readonly OpAttribute[],
    inputIds: readonly number[],
    outputs: number,
  ): TensorMetadata[];
  loadSavedModel(directory: string, tags: string): number;
  deleteSavedModel(id: number): void;
  runSavedModel(id: number, inputIds: readonly number[], inputs: string, outputs: string): TensorMetadata[];
  getNumOfTensors(): number;
  getNumOfSavedModels(): number;
  isUsingGpuDevice(): boolean;
  readonly TF_Version: string;
  readonly TF_FLOAT: number;
  readonly TF_INT32: number;
  readonly TF_INT64: number;
  readonly TF_BOOL: number;
  readonly TF_STRING: number;
  readonly TF_RESOURCE: number;
  readonly TF_ATTR_STRING: number;
  readonly TF_ATTR_INT: number;
  readonly TF_ATTR_FLOAT: number;
  readonly TF_ATTR_BOOL: number;
  readonly TF_ATTR_TYPE: number;
  readonly TF_ATTR_SHAPE: number;
}

/** The part of tfjs-node's `NodeJSKernelBackend` that the engine uses; every kernel passes through `execute…`. */
export interface NativeBackend {
  readonly binding: NativeBinding;
  executeSingleOutput(name: string, attributes: readonly OpAttribute[], inputs: readonly Tensor[]): Tensor;
  executeMultipleOutputs(
    name: string,
    attributes: readonly OpAttribute[],
    inputs: readonly Tensor[],
    outputs: number,
  ): Tensor[];
  /** Ids of the native tensors behind `inputs`, uploading those that are still plain JavaScript values. */
  getInputTensorIds(inputs: readonly Tensor[]): number[];
  /** Wraps a native tensor; the result owns it. */
  createOutputTensor(metadata: TensorMetadata): Tensor;
}

/** Whether the TensorFlow addon is the current backend. */
export function isNative(): boolean {
  return getBackend() === 'tensorflow';
}

/** Whether the addon's own kernels, which are written for CPUs, serve the current backend. */
export function hasKernels(): boolean {
  return isNative() && !nativeBackend().binding.isUsingGpuDevice();
}

/** @throws Error when the current backend is not the TensorFlow addon. */
export function nativeBackend(): NativeBackend {
  if (!isNative()) throw new Error(`raw TensorFlow ops need the native backend; current is ${getBackend()}`);
  return findBackend('tensorflow') as unknown as NativeBackend;
}

/** TensorFlow's number for a tensor type. */
export function typeNumber(dtype: DataType | 'resource' | 'int64'): number {
  const { binding } = nativeBackend();
  const numbers = {
    float32: binding.TF_FLOAT,
    int32: binding.TF_INT32,
    int64: binding.TF_INT64,
    bool: binding.TF_BOOL,
    string: binding.TF_STRING,
    resource: binding.TF_RESOURCE,
  };
  if (!(dtype in numbers)) throw new Error(`dtype must be one of ${Object.keys(numbers)}, got ${dtype}`);
  return numbers[dtype as keyof typeof numbers];
}

/** Attributes by their kind in the op's definition, for JavaScript's numbers do not tell an int from a float. */
export const attribute = {
  type: (name: string, dtype: DataType | 'resource' | 'int64'): OpAttribute => ({
    name,
    type: nativeBackend().binding.TF_ATTR_TYPE,
    value: typeNumber(dtype),
  }),
  int: (name: string, value: number | readonly number[]): OpAttribute => ({
    name,
    type: nativeBackend().binding.TF_ATTR_INT,
    value,
  }),
  float: (name: string, value: number | readonly number[]): OpAttribute => ({
    name,
    type: nativeBackend().binding.TF_ATTR_FLOAT,
    value,
  }),
  bool: (name: string, value: boolean): OpAttribute => ({
    name,
    type: nativeBackend().binding.TF_ATTR_BOOL,
    value,
  }),
  string: (name: string, value: string): OpAttribute => ({
    name,
    type: nativeBackend().binding.TF_ATTR_STRING,
    value,
  }),
  shape: (name: string, value: readonly number[]): OpAttribute => ({
    name,
    type: nativeBackend().binding.TF_ATTR_SHAPE,
    value,
  }),
};

/** Runs a TensorFlow op that has one output; the caller disposes it (or its `tidy` does). */
export function rawOp(name: string, attributes: readonly OpAttribute[], inputs: readonly Tensor[]): Tensor {
  return nativeBackend().executeSingleOutput(name, attributes, inputs);
}

/** Runs a TensorFlow op that has `outputs` outputs, possibly none; the caller disposes them (or its `tidy` does). */
export function rawOps(
  name: string,
  attributes: readonly OpAttribute[],
  inputs: readonly Tensor[],
  outputs: number,
): Tensor[] {
  return nativeBackend().executeMultipleOutputs(name, attributes, inputs, outputs);
}
