/** Progress of an alignment job over its phases. */
import type { JobReporter } from '../contract/protocol.ts';

/** Where each phase begins and ends in the whole, by how long they take at the presets' sizes. */
const SPANS = {
  CAPTURE: [0, 0.03],
  PRETRAIN: [0.03, 0.83],
  POSTTRAIN: [0.03, 0.83],
  EVALUATE: [0.83, 1],
} as const;

export interface Phases {
  /** Reports that the phase has come to `share` (0–1); the two training phases share one span and one count. */
  at(phase: keyof typeof SPANS, share: number): void;
}

/** Seconds left are told by the pace since this process entered its present span. */
export function createPhases(reporter: JobReporter): Phases {
  let entered: { span: number; progress: number; at: number } | null = null;
  return {
    at(phase, share) {
      const [begin, end] = SPANS[phase];
      const progress = begin + (end - begin) * share;
      const now = performance.now();
      if (entered?.span !== begin) entered = { span: begin, progress, at: now };
      const done = progress - entered.progress;
      const pace = done > 0 ? (now - entered.at) / 1000 / done : null;
      const etaSeconds = progress >= 1 ? 0 : pace && pace * (1 - progress);
      reporter.progress({ phase, progress, etaSeconds });
    },
  };
}
