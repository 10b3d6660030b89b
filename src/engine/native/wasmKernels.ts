/**
 * Kernels that tfjs' wasm backend lacks or does slowly, measured at the sizes of a small transformer:
 * `UnsortedSegmentSum` (the gradient of a gather) is missing; a product with a transposed operand takes 12 times as
 * long as transposing and multiplying; gathering 1,024 rows of 64 takes 3.4 ms where copying them takes 0.1. And one
 * that is wrong: `OneHot` of float32 is filled with integers.
 */

import type { BackendWasm } from '@tensorflow/tfjs-backend-wasm';
import {
  BatchMatMul,
  type BatchMatMulAttrs,
  GatherV2,
  type GatherV2Attrs,
  getKernel,
  type KernelFunc,
  OneHot,
  type OneHotAttrs,
  registerKernel,
  type TensorInfo,
  Transpose,
  UnsortedSegmentSum,
  type UnsortedSegmentSumAttrs,
  unregisterKernel,
} from '@tensorflow/tfjs-core';

interface Call<Inputs extends string, Attributes> {
  inputs: Record<Inputs, TensorInfo>;
  attrs: Attributes;
  backend: BackendWasm;
}

/** Puts the kernels below in the place of the backend's own; call it before the backend is set. */
export function registerWasmKernels(): void {
  if (getKernel(UnsortedSegmentSum, 'wasm')) return;
  replaceKernel(BatchMatMul, matMulOfTransposed);
  replaceKernel(GatherV2, gatherByCopying);
  replaceKernel(OneHot, oneHotOfFloats);
  registerKernel({ kernelName: UnsortedSegmentSum, backendName: 'wasm', kernelFunc: segmentSum as never });
}

function replaceKernel(name: string, replace: (own: KernelFunc) => (call: never) => TensorInfo): void {
  const own = getKernel(name, 'wasm');
  unregisterKernel(name, 'wasm');
  registerKernel({ ...own, kernelFunc: replace(own.kernelFunc) as unknown as KernelFunc });
}

function matMulOfTransposed(own: KernelFunc) {
  return ({ inputs, attrs, backend }: Call<'a' | 'b', BatchMatMulAttrs>): TensorInfo => {
    const a = attrs.transposeA ? swapLastAxes(inputs.a, backend) : inputs.a;
    const b = attrs.transposeB ? swapLastAxes(inputs.b, backend) : inputs.b;
    const out = own({ inputs: { a, b }, backend, attrs: { transposeA: false, transposeB: false } });
    if (attrs.transposeA) backend.disposeData(a.dataId);
    if (attrs.transposeB) backend.disposeData(b.dataId);
    return out as TensorInfo;
  };
}

function swapLastAxes(x: TensorInfo, backend: BackendWasm): TensorInfo {
  const axes = x.shape.map((_, axis) => axis);
  const perm = [...axes.slice(0, -2), axes.at(-1)!, axes.at(-2)!];
  return getKernel(Transpose, 'wasm').kernelFunc({ inputs: { x }, backend, attrs: { perm } }) as TensorInfo;
}

function gatherByCopying(own: KernelFunc) {
  return (call: Call<'x' | 'indices', GatherV2Attrs>): TensorInfo => {
    const { x, indices } = call.inputs;
    if (call.attrs.axis !== 0 || call.attrs.batchDims !== 0) return own(call as never) as TensorInfo;
    const row = x.shape.slice(1);
    const out = call.backend.makeOutput([...indices.shape, ...row], x.dtype);
    // Views of the heap are taken after the allocation, which may move the heap.
    const from = call.backend.typedArrayFromHeap(x);
    const ids = call.backend.typedArrayFromHeap(indices);
    const to = call.backend.typedArrayFromHeap(out);
    const width = rowWidth(row);
    for (let i = 0; i < ids.length; i++) {
      const id = checkedId(ids[i]!, x.shape[0]!);
      to.set(from.subarray(id * width, (id + 1) * width), i * width);
    }
    return out;
  };
}

function oneHotOfFloats(own: KernelFunc) {
  return (call: Call<'indices', OneHotAttrs>): TensorInfo => {
    const { depth, onValue, offValue, dtype } = call.attrs;
    if (dtype !== 'float32') return own(call as never) as TensorInfo;
    const { indices } = call.inputs;
    const out = call.backend.makeOutput([...indices.shape, depth], dtype);
    const ids = call.backend.typedArrayFromHeap(indices);
    const to = call.backend.typedArrayFromHeap(out).fill(offValue);
    for (const [i, id] of ids.entries()) if (id >= 0 && id < depth) to[i * depth + id] = onValue;
    return out;
  };
}

/** Sums the rows of `x` that share a segment id; `x [n, ...]`, `segmentIds [n]` → `[numSegments, ...]`. */
function segmentSum({ inputs, attrs, backend }: Call<'x' | 'segmentIds', UnsortedSegmentSumAttrs>) {
  const { x, segmentIds } = inputs;
  const row = x.shape.slice(segmentIds.shape.length);
  const out = backend.makeOutput([attrs.numSegments, ...row], x.dtype);
  const from = backend.typedArrayFromHeap(x);
  const ids = backend.typedArrayFromHeap(segmentIds);
  const to = backend.typedArrayFromHeap(out).fill(0);
  const width = rowWidth(row);
  for (let i = 0; i < ids.length; i++) {
    const start = checkedId(ids[i]!, attrs.numSegments) * width;
    for (let j = 0; j < width; j++) to[start + j]! += from[i * width + j]!;
  }
  return out;
}

function rowWidth(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

function checkedId(id: number, count: number): number {
  if (id < 0 || id >= count) throw new Error(`index must be from 0 to ${count - 1}, got ${id}`);
  return id;
}
