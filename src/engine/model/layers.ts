/**
 * The decoder's layers that are not projections: one op of the addon's kernels each way, or elsewhere with
 * hand-written gradients, a third of the operations of plain autograd.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Activation } from '../contract/modelDecoder.ts';
import { attribute, hasKernels, rawOp, rawOps } from '../native/rawOps.ts';

/**
 * Layer normalisation over the last axis; `x [..., C]`, `gain [C]`, `bias [C]` → `[..., C]`.
 * Backward, with x̂ = (x − μ)·r and g = dy·gain: dx = r·(g − mean(g) − x̂·mean(g·x̂)) (Ba et al. 2016).
 */
export function layerNorm<T extends tf.Tensor>(x: T, gain: tf.Tensor, bias: tf.Tensor, epsilon: number): T {
  if (!hasKernels()) return plainLayerNorm(x, gain, bias, epsilon);
  const op = tf.customGrad((...args) => {
    const [x, gain, bias, save] = args as unknown as [tf.Tensor, tf.Tensor, tf.Tensor, tf.GradSaveFunc];
    const inputs = [x, gain, bias, tf.scalar(epsilon)];
    const [value, statistics] = rawOps('AlignsaeLayerNorm', [], inputs, 2) as [tf.Tensor, tf.Tensor];
    save([x, statistics, gain]);
    const gradFunc = (dy: tf.Tensor, saved: tf.Tensor[]) =>
      rawOps('AlignsaeLayerNormGradient', [], [dy, ...saved], 3);
    return { value, gradFunc };
  });
  return onRows(x, (rows) => op(rows, gain, bias));
}

function plainLayerNorm<T extends tf.Tensor>(x: T, gain: tf.Tensor, bias: tf.Tensor, epsilon: number): T {
  const outer = x.shape.map((_, axis) => axis).slice(0, -1);
  const op = tf.customGrad((...args) => {
    const [x, gain, bias, save] = args as unknown as [tf.Tensor, tf.Tensor, tf.Tensor, tf.GradSaveFunc];
    const centered = tf.sub(x, tf.mean(x, -1, true));
    const scale = tf.rsqrt(tf.add(tf.mean(tf.square(centered), -1, true), epsilon)); // [..., 1]
    const normalised = tf.mul(centered, scale);
    save([normalised, scale, gain]);
    const gradFunc = (dy: tf.Tensor, saved: tf.Tensor[]) => {
      const [normalised, scale, gain] = saved as [tf.Tensor, tf.Tensor, tf.Tensor];
      const g = tf.mul(dy, gain);
      const along = tf.mul(normalised, tf.mean(tf.mul(g, normalised), -1, true));
      return [
        tf.mul(tf.sub(tf.sub(g, tf.mean(g, -1, true)), along), scale),
        tf.sum(tf.mul(dy, normalised), outer),
        tf.sum(dy, outer),
      ];
    };
    return { value: tf.add(tf.mul(normalised, gain), bias), gradFunc };
  });
  return op(x, gain, bias) as T;
}

/**
 * Root-mean-square normalisation over the last axis (Zhang & Sennrich 2019); `x [..., C]`, `gain [C]` → `[..., C]`.
 * Backward, with x̂ = x·r and g = dy·gain: dx = r·(g − x̂·mean(g·x̂)).
 */
export function rmsNorm<T extends tf.Tensor>(x: T, gain: tf.Tensor, epsilon: number): T {
  if (!hasKernels()) return plainRmsNorm(x, gain, epsilon);
  const op = tf.customGrad((...args) => {
    const [x, gain, save] = args as unknown as [tf.Tensor, tf.Tensor, tf.GradSaveFunc];
    const attributes = [attribute.float('epsilon', epsilon)];
    const [value, scales] = rawOps('AlignsaeRmsNorm', attributes, [x, gain], 2) as [tf.Tensor, tf.Tensor];
    save([x, scales, gain]);
    const gradFunc = (dy: tf.Tensor, saved: tf.Tensor[]) =>
      rawOps('AlignsaeRmsNormGradient', [], [dy, ...saved], 2);
    return { value, gradFunc };
  });
  return onRows(x, (rows) => op(rows, gain));
}

function plainRmsNorm<T extends tf.Tensor>(x: T, gain: tf.Tensor, epsilon: number): T {
  const outer = x.shape.map((_, axis) => axis).slice(0, -1);
  const op = tf.customGrad((...args) => {
    const [x, gain, save] = args as unknown as [tf.Tensor, tf.Tensor, tf.GradSaveFunc];
    const scale = tf.rsqrt(tf.add(tf.mean(tf.square(x), -1, true), epsilon)); // [..., 1]
    const normalised = tf.mul(x, scale);
    save([normalised, scale, gain]);
    const gradFunc = (dy: tf.Tensor, saved: tf.Tensor[]) => {
      const [normalised, scale, gain] = saved as [tf.Tensor, tf.Tensor, tf.Tensor];
      const g = tf.mul(dy, gain);
      const along = tf.mul(normalised, tf.mean(tf.mul(g, normalised), -1, true));
      return [tf.mul(tf.sub(g, along), scale), tf.sum(tf.mul(dy, normalised), outer)];
    };
    return { value: tf.mul(normalised, gain), gradFunc };
  });
  return op(x, gain) as T;
}

/** `cap · tanh(x / cap)`, of any shape; null leaves `x` as it is. */
export function softCap<T extends tf.Tensor>(x: T, cap: number | null): T {
  return cap === null ? x : (tf.mul(tf.tanh(tf.div(x, cap)), cap) as T);
}

/** An MLP's activation, of any shape. */
export function activate<T extends tf.Tensor>(activation: Activation, x: T): T {
  switch (activation) {
    case 'GELU_TANH':
      return gelu(x);
    case 'GELU':
      return erfGelu(x);
    case 'SILU':
      return silu(x);
  }
}

/** The kernels of gated hidden layers, by activation. */
const GATED: Partial<Record<Activation, string>> = {
  SILU: 'AlignsaeGatedSilu',
  GELU_TANH: 'AlignsaeGatedGelu',
};

/** The hidden layer of a gated MLP, activation(gate) · up; all of one shape. */
export function gated<T extends tf.Tensor>(activation: Activation, gate: T, up: T): T {
  const name = GATED[activation];
  if (!name || !hasKernels()) return tf.mul<T>(activate(activation, gate), up);
  const op = tf.customGrad((...args) => {
    const [gate, up, save] = args as unknown as [tf.Tensor, tf.Tensor, tf.GradSaveFunc];
    save([gate, up]);
    const gradFunc = (dy: tf.Tensor, saved: tf.Tensor[]) => rawOps(`${name}Gradient`, [], [dy, ...saved], 2);
    return { value: rawOp(name, [], [gate, up]), gradFunc };
  });
  return op(gate, up) as T;
}

/** x·σ(x). */
function silu<T extends tf.Tensor>(x: T): T {
  const op = tf.customGrad((...args) => {
    const [x, save] = args as unknown as [tf.Tensor, tf.GradSaveFunc];
    const gate = tf.sigmoid(x);
    const value = tf.mul(x, gate);
    save([gate, value]);
    const gradFunc = (dy: tf.Tensor, saved: tf.Tensor[]) => {
      const [gate, value] = saved as [tf.Tensor, tf.Tensor];
      return tf.mul(dy, tf.add(gate, tf.mul(value, tf.sub(1, gate))));
    };
    return { value, gradFunc };
  });
  return op(x) as T;
}

/** The GELU of the error function, x·Φ(x) with Φ(x) = ½(1 + erf(x/√2)). */
function erfGelu<T extends tf.Tensor>(x: T): T {
  const op = tf.customGrad((...args) => {
    const [x, save] = args as unknown as [tf.Tensor, tf.GradSaveFunc];
    const below = tf.mul(tf.add(tf.erf(tf.mul(x, Math.SQRT1_2)), 1), 0.5);
    save([x, below]);
    const gradFunc = (dy: tf.Tensor, saved: tf.Tensor[]) => {
      const [x, below] = saved as [tf.Tensor, tf.Tensor];
      const density = tf.mul(tf.exp(tf.mul(tf.square(x), -0.5)), 1 / Math.sqrt(2 * Math.PI));
      return tf.mul(dy, tf.add(below, tf.mul(x, density)));
    };
    return { value: tf.mul(x, below), gradFunc };
  });
  return op(x) as T;
}

const GELU_LINEAR = 2 * Math.sqrt(2 / Math.PI);
const GELU_CUBIC = GELU_LINEAR * 0.044715;

/**
 * GPT-2's tanh GELU, of any shape: ½x(1 + tanh(√(2/π)(x + 0.044715x³))), computed as the equal x·σ(2√(2/π)(…)).
 */
export function gelu<T extends tf.Tensor>(x: T): T {
  if (!hasKernels()) return plainGelu(x);
  const op = tf.customGrad((...args) => {
    const [x, save] = args as unknown as [tf.Tensor, tf.GradSaveFunc];
    save([x]);
    const gradFunc = (dy: tf.Tensor, saved: tf.Tensor[]) =>
      rawOp('AlignsaeGeluGradient', [], [dy, saved[0]!]);
    return { value: rawOp('AlignsaeGelu', [], [x]), gradFunc };
  });
  return onRows(x, op);
}

function plainGelu<T extends tf.Tensor>(x: T): T {
  const op = tf.customGrad((...args) => {
    const [x, save] = args as unknown as [tf.Tensor, tf.GradSaveFunc];
    const square = tf.square(x);
    const gate = tf.sigmoid(tf.mul(x, tf.add(tf.mul(square, GELU_CUBIC), GELU_LINEAR)));
    const value = tf.mul(x, gate);
    save([square, gate, value]);
    const gradFunc = (dy: tf.Tensor, saved: tf.Tensor[]) => {
      const [square, gate, value] = saved as [tf.Tensor, tf.Tensor, tf.Tensor];
      const slope = tf.add(tf.mul(square, 3 * GELU_CUBIC), GELU_LINEAR);
      return tf.mul(dy, tf.add(gate, tf.mul(tf.mul(value, tf.sub(1, gate)), slope)));
    };
    return { value, gradFunc };
  });
  return op(x) as T;
}

/** `x [M, C]` · `table [V, C]` transposed → `[M, V]`. */
export function timesTransposed(x: tf.Tensor2D, table: tf.Tensor2D): tf.Tensor2D {
  if (!hasKernels()) return tf.matMul(x, table, false, true);
  const op = tf.customGrad((...args) => {
    const [x, table, save] = args as unknown as [tf.Tensor, tf.Tensor, tf.GradSaveFunc];
    save([x, table]);
    const gradFunc = (dy: tf.Tensor, saved: tf.Tensor[]) => {
      const [x, table] = saved as [tf.Tensor, tf.Tensor];
      return [rawOp('AlignsaeProduct', [], [dy, table]), rawOp('AlignsaeLinearWeight', [], [dy, x])];
    };
    return { value: rawOp('AlignsaeLinearInput', [attribute.int('active', 0)], [x, table, x]), gradFunc };
  });
  return op(x, table) as tf.Tensor2D;
}

/** Applies what takes matrices to the rows of a tensor of any rank. */
function onRows<T extends tf.Tensor>(x: T, op: (rows: tf.Tensor) => tf.Tensor): T {
  if (x.rank === 2) return op(x) as T;
  const width = x.shape.at(-1)!;
  return tf.reshape(op(tf.reshape(x, [x.size / width, width])), x.shape) as T;
}
