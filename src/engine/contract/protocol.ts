/**
 * The messages between a host (API or worker process) and its engine child, over Node's IPC channel with
 * `serialization: 'advanced'`, so typed arrays travel as they are. The child does one job, or serves calls;
 * it reads files by the paths it is given and writes files only into `workDir`.
 */
import type { SteerCall, SteerResult } from './edits.ts';
import type { GenerationCall, GenerationItem } from './generation.ts';
import type {
  ActivationsCall,
  ActiveToken,
  ConceptDifferenceCall,
  LatentPage,
  LatentSource,
  LatentSurvey,
  LatentsCall,
  LatentTokens,
  LatentTokensCall,
} from './latents.ts';
import type { ModelSnapshot } from './model.ts';
import type { NativeAddon } from './native.ts';
import type { Phase } from './phases.ts';
import type { ProductChoice } from './products.ts';
import type { EngineJobs, EngineRunKind } from './runs.ts';
import type { SwapCall, SwapResult } from './swap.ts';
import type { SweepCell } from './swapSweep.ts';
import type { WrittenFile } from './writtenFile.ts';

/** `auto` prefers the native addon and falls back to wasm with a reason; the others insist. */
export type BackendChoice = 'auto' | 'native' | 'wasm';

export interface BackendInfo {
  backend: 'tensorflow' | 'wasm';
  tensorflowVersion: string | null;
  devices: { name: string; kind: 'CPU' | 'GPU' }[];
  /** Why the native addon is not in use; null when it is. */
  fallbackReason: string | null;
  /** How the kernels multiply, by kind of shape; empty without them. */
  products: readonly ProductChoice[];
}

/** One logged training step: `values` by metric name, such as `loss` or `loss/bind`. */
export interface MetricRow {
  step: number;
  /** Milliseconds since the epoch, when the engine measured it. */
  at: number;
  values: Record<string, number>;
  /** Where the slots were looked at: by concept, on how many of its validation prompts which slot is strongest. */
  binding?: number[][];
}

export interface Progress {
  /** Upper-case name of the part of the job that runs now, such as `PRETRAIN`. */
  phase: Phase;
  /** 0–1 over the whole job. */
  progress: number;
  etaSeconds: number | null;
}

export type EngineJob = EngineJobs[EngineRunKind]['job'];
export type EngineResult = EngineJobs[EngineRunKind]['result'];

/** What the engine reports while a job runs, besides its result. Every call is cheap; the child batches. */
export interface JobReporter {
  metrics(row: MetricRow): void;
  progress(progress: Progress): void;
  log(level: 'INFO' | 'WARN' | 'ERROR', message: string): void;
  /** Hands over a finished part of the result, which is stored at once; an attempt that goes on is told of it. */
  part(cell: SweepCell): void;
  /** Hands over the model as it is; the host stores it before any later checkpoint and before the result. */
  snapshot(snapshot: ModelSnapshot): void;
  /**
   * Asked after each training step; true when it is time to write a checkpoint (by the host's interval).
   */
  checkpointDue(): boolean;
  /**
   * Flushes metrics up to `step`, then hands over the checkpoint, which replaces any earlier one. The host moves
   * the file away while training goes on; `checkpointDue` stays false until it has.
   */
  checkpoint(step: number, file: WrittenFile): Promise<void>;
  /**
   * Lets messages through (disconnect, a wish for a checkpoint) and waits while the host is far behind in storing
   * metrics; call it at least every 50 ms of work.
   */
  breathe(): Promise<void>;
}

/** What a job may use of its surroundings. */
export interface JobContext {
  reporter: JobReporter;
  /** Existing directory for files the job writes. */
  workDir: string;
  /** Path of the checkpoint to go on from, if the run was interrupted. */
  resumeFrom: string | null;
}

export type HostMessage =
  | {
      type: 'init';
      backend: BackendChoice;
      /** What `prepareNative` found in the host; the child must be forked with `nativeEnvironment(native, …)`. */
      native: NativeAddon;
      /** What models and SAEs that stay loaded between calls may take. */
      memoryBytes: number;
    }
  | {
      type: 'job';
      job: EngineJob;
      resumeFrom: string | null;
      /** Existing directory of this job alone. */
      workDir: string;
      checkpointEveryMs: number;
    }
  | { type: 'call'; id: number; call: EngineCall }
  | { type: 'stream'; id: number; stream: EngineStream }
  /** Nobody wants the stream's further items; it ends at the next one. */
  | { type: 'cancel'; id: number }
  /** So many metric rows more are stored; the child stops training while too many are not. */
  | { type: 'stored'; rows: number }
  /** The checkpoint handed over last is stored and its file has left the work directory. */
  | { type: 'checkpointed' }
  /** Write a checkpoint at the next opportunity, whatever the interval says. */
  | { type: 'wantCheckpoint' };

/** Short requests that a serving child answers; models and SAEs stay loaded between calls. */
export interface EngineCalls {
  swap: { params: SwapCall; result: SwapResult };
  steer: { params: SteerCall; result: SteerResult };
  /** Null asks for the dataset, which has not been captured yet; a null page is of a latent that does not exist. */
  latents: { params: LatentsCall; result: (LatentPage | null)[] | null };
  surveyLatents: { params: LatentSource; result: LatentSurvey | null };
  latentTokens: { params: LatentTokensCall; result: LatentTokens[] };
  /** `[dModel]`; null asks for the dataset as `latents` does. */
  conceptDifference: { params: ConceptDifferenceCall; result: Float32Array | null };
  activations: { params: ActivationsCall; result: ActiveToken[] };
}
export type CallMethod = keyof EngineCalls;
export type CallParams<M extends CallMethod> = EngineCalls[M]['params'];
export type CallResult<M extends CallMethod> = EngineCalls[M]['result'];
export type EngineCall = { [M in CallMethod]: { method: M; params: CallParams<M> } }[CallMethod];
export type EngineCallResult = { [M in CallMethod]: { method: M; result: CallResult<M> } }[CallMethod];

/** Requests that a serving child answers item by item; their parameters bound how many items there can be. */
export interface EngineStreams {
  generate: { params: GenerationCall; item: GenerationItem };
}
export type StreamMethod = keyof EngineStreams;
export type StreamParams<M extends StreamMethod> = EngineStreams[M]['params'];
export type StreamItem<M extends StreamMethod> = EngineStreams[M]['item'];
export type EngineStream = { [M in StreamMethod]: { method: M; params: StreamParams<M> } }[StreamMethod];
export type EngineStreamItem = { [M in StreamMethod]: { method: M; item: StreamItem<M> } }[StreamMethod];

export type ChildMessage =
  | { type: 'ready'; info: BackendInfo }
  | { type: 'metrics'; rows: MetricRow[] }
  | { type: 'progress'; progress: Progress }
  | { type: 'log'; level: 'INFO' | 'WARN' | 'ERROR'; message: string; at: number }
  | { type: 'part'; cell: SweepCell }
  | { type: 'snapshot'; snapshot: ModelSnapshot }
  | { type: 'checkpoint'; step: number; file: WrittenFile }
  | { type: 'done'; result: EngineResult }
  | { type: 'failed'; error: EngineFailure }
  | { type: 'answer'; id: number; result: EngineCallResult }
  | { type: 'item'; id: number; item: EngineStreamItem }
  /** The stream is through, or was cancelled. */
  | { type: 'ended'; id: number }
  | { type: 'refused'; id: number; error: EngineFailure };

/** `code` is an `AppErrorCode`; the message may be shown to the caller unless the code is INTERNAL. */
export interface EngineFailure {
  code: string;
  message: string;
  path?: string[];
  stack?: string;
}
