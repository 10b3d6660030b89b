/** A tensor as plain data; what is fed to a step and what checkpoints hold. */
export interface ArrayValue {
  data: Float32Array | Int32Array;
  shape: readonly number[];
}
export type Arrays = Record<string, ArrayValue>;
