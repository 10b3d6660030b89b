/**
 * Where tfjs-node is. A packed server brings the parts that it uses: as a dependency the package would fetch a
 * TensorFlow of its own while it is installed, which is not the one that the engine is built from.
 */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const require = createRequire(import.meta.url);
const BESIDE = fileURLToPath(new URL('../../tfjs-node', import.meta.url));

export const TFJS_NODE = existsSync(BESIDE)
  ? BESIDE
  : dirname(require.resolve('@tensorflow/tfjs-node-gpu/package.json'));

/** Loads one of its modules, such as `dist/proto/api_pb.js`. */
export function requireOfTfjsNode(name: string): unknown {
  return require(join(TFJS_NODE, name));
}
