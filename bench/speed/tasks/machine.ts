/** What the machine can do at best, as this engine's backend reaches it. */
import * as tf from '@tensorflow/tfjs-core';
import { spread } from '../stats.ts';
import type { Task } from './task.ts';

const SIZE = 2048;
/** Numbers that are read and written: several times what any cache holds. */
const COPIED = 2 ** 26;
const REPEATS = 9;

/** `check` gives FLOP/s of a product of two 2048 × 2048 matrices, and bytes/s read and written by a copy. */
export function machineTask(): Task {
  return {
    check: async () => [2 * SIZE ** 3 * perSecond(createProduct()), 8 * COPIED * perSecond(createCopy())],
    run: async () => {},
    units: 1,
  };
}

function createProduct(): () => void {
  const [a, b] = [tf.randomUniform([SIZE, SIZE]), tf.randomUniform([SIZE, SIZE])];
  return () => {
    const product = tf.matMul(a, b);
    product.dataSync();
    product.dispose();
  };
}

/** Between two halves of memory that is in use already, so that no page is new. */
function createCopy(): () => void {
  const memory = new Float32Array(2 * COPIED).fill(1);
  return () => memory.copyWithin(COPIED, 0, COPIED);
}

function perSecond(run: () => void): number {
  run();
  const ms = Array.from({ length: REPEATS }, () => {
    const started = performance.now();
    run();
    return performance.now() - started;
  });
  return 1000 / spread(ms).median;
}
