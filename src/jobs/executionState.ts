import type { EngineProcess } from './host.ts';

/** Where an execution stands; it never leaves ABANDONED, and BROKEN only for that. */
export type ExecutionState =
  /** No engine: the job is being read, or the last engine crashed. */
  | { at: 'IDLE' }
  /** The engine loads or works; `resumable` while a checkpoint can be asked for. */
  | { at: 'WORKING'; engine: EngineProcess; resumable: boolean }
  /** It was asked for a checkpoint, behind which the run is given back. */
  | { at: 'DRAINING'; engine: EngineProcess; checkpoint: Promise<void>; onCheckpoint(): void }
  /** The job is done; what it returned is being stored. */
  | { at: 'STORING'; engine: EngineProcess }
  /** Writing became impossible, other than by losing the run: it fails. */
  | { at: 'BROKEN'; engine: EngineProcess | null; error: unknown }
  /** Cancelled, given back, or somebody else's: nothing more is written. */
  | { at: 'ABANDONED'; engine: EngineProcess | null };
