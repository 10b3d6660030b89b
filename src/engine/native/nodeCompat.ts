import { createRequire } from 'node:module';

/**
 * Puts back the functions of `node:util` that tfjs-node calls: Node 23 removed one of them, and Node 22 warns of
 * both (https://github.com/tensorflow/tfjs/issues/8609). tfjs-node looks them up on the module when it calls them.
 */
export function restoreUtilFunctions(): void {
  const util = createRequire(import.meta.url)('node:util') as Record<string, unknown>;
  util.isNullOrUndefined = (value: unknown) => value === null || value === undefined;
  util.isArray = Array.isArray;
}
