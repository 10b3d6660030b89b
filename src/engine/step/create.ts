import { isNative } from '../native/rawOps.ts';
import { CompiledStepper } from './compiled.ts';
import { EagerStepper } from './eager.ts';
import type { Stepper, StepperOptions } from './stepper.ts';

/**
 * Makes the fastest stepper that the current backend has: compiled on TensorFlow, op by op on wasm.
 * The caller disposes it.
 * @throws Error when a weight is malformed or `trainable` names a loss or weight that does not exist.
 */
export function createStepper(options: StepperOptions): Stepper {
  return isNative() ? new CompiledStepper(options) : new EagerStepper(options);
}
