/** A job's surroundings in a test: keeps what was reported, takes checkpoints at given steps, can be "killed". */

import type { ModelSnapshot } from '../../../src/engine/contract/model.ts';
import type { JobContext, JobReporter, MetricRow, Progress } from '../../../src/engine/contract/protocol.ts';
import type { SweepCell } from '../../../src/engine/contract/swapSweep.ts';
import type { WrittenFile } from '../../../src/engine/contract/writtenFile.ts';

export interface Recorder extends JobContext {
  rows: MetricRow[];
  progressed: Progress[];
  cells: SweepCell[];
  snapshots: ModelSnapshot[];
  checkpoints: { step: number; file: WrittenFile }[];
}

export class Killed extends Error {}

export function createRecorder(
  workDir: string,
  options: { resumeFrom?: string; checkpointAt?: readonly number[]; killAt?: number } = {},
): Recorder {
  const { resumeFrom = null, checkpointAt = [], killAt } = options;
  const rows: MetricRow[] = [];
  const progressed: Progress[] = [];
  const cells: SweepCell[] = [];
  const snapshots: ModelSnapshot[] = [];
  const checkpoints: Recorder['checkpoints'] = [];
  const latest = () => rows.at(-1)?.step ?? 0;
  const reporter: JobReporter = {
    metrics: (row) => rows.push(row),
    progress: (progress) => progressed.push(progress),
    log: () => {},
    part: (cell) => cells.push(cell),
    snapshot: (snapshot) => snapshots.push(snapshot),
    checkpointDue: () => checkpointAt.includes(latest()) && checkpoints.at(-1)?.step !== latest(),
    checkpoint: async (step, file) => {
      checkpoints.push({ step, file });
    },
    breathe: async () => {
      if (killAt !== undefined && latest() >= killAt) throw new Killed();
    },
  };
  return { reporter, workDir, resumeFrom, rows, progressed, cells, snapshots, checkpoints };
}
