/** Frees what a computation makes on its way. */
import { type TensorContainer, tidy } from '@tensorflow/tfjs-core';

/** `tf.tidy` for a nested result, whose type it cannot express: all tensors in it stay. */
export function tidied<T>(run: () => T): T {
  return tidy(run as unknown as () => TensorContainer) as unknown as T;
}
