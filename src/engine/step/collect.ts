/** Memory of arrays that nobody holds any more. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** Below this many bytes, collecting costs more than it brings. */
const LARGE = 64 * 1024 ** 2;

let collector: (() => void) | null = null;

/**
 * Lets V8 collect now if as many bytes of arrays as these have just been let go of. It would come by itself only when more
 * of them are made, so that weights which a session has copied stay there twice for the whole of a training.
 */
export function collectLarge(bytes: number): void {
  if (bytes < LARGE) return;
  if (!collector) {
    setFlagsFromString('--expose-gc');
    collector = runInNewContext('gc') as () => void;
    setFlagsFromString('--no-expose-gc');
  }
  collector();
}
