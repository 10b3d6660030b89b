import { createRequire } from 'node:module';

/**
 * Restores the two functions of `node:util` that the tfjs-node kernels call and that Node 23 removed
 * (https://github.com/tensorflow/tfjs/issues/8609). The kernels read them off the module object at call time.
 */
export function restoreUtilFunctions(): void {
  const util = createRequire(import.meta.url)('node:util') as Record<string, unknown>;
  util.isNullOrUndefined ??= (value: unknown) => value === null || value === undefined;
  util.isArray ??= Array.isArray;
}
