/** What a job of the engine is given where nobody follows it. */
import type { JobContext } from '../src/engine/contract/protocol.ts';

/** `told` is what somebody follows all the same. */
export function quietContext(workDir: string, told: Partial<JobContext['reporter']> = {}): JobContext {
  return {
    workDir,
    resumeFrom: null,
    reporter: {
      metrics() {},
      progress() {},
      log() {},
      part() {},
      snapshot() {},
      checkpointDue: () => false,
      checkpoint: async () => {},
      breathe: async () => {},
      ...told,
    },
  };
}
