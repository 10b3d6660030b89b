/** Forks the engine process and speaks its protocol: ready, messages, exit. One host object is one process. */
import { type ChildProcess, fork } from 'node:child_process';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import type { ModelSnapshot } from '../engine/contract/model.ts';
import { type NativeAddon, nativeEnvironment } from '../engine/contract/native.ts';
import type {
  BackendChoice,
  BackendInfo,
  ChildMessage,
  EngineFailure,
  EngineResult,
  HostMessage,
  MetricRow,
  Progress,
} from '../engine/contract/protocol.ts';
import type { SweepCell } from '../engine/contract/swapSweep.ts';
import type { WrittenFile } from '../engine/contract/writtenFile.ts';
import { AppError, type AppErrorCode } from '../errors.ts';
import type { Logger } from '../log.ts';

export interface EngineOptions {
  backend: BackendChoice;
  native: NativeAddon;
  log: Logger;
  /** What the models and SAEs of a serving engine may take together. Default: 4 GB. */
  memoryBytes?: number;
}

export interface EngineExit {
  code: number | null;
  signal: NodeJS.Signals | null;
  /** The end of what the process wrote to stderr. */
  stderr: string;
}

/** The engine process ended without being asked to. */
export class EngineCrash extends Error {
  readonly exit: EngineExit;

  constructor(exit: EngineExit) {
    super(describeExit(exit));
    this.name = 'EngineCrash';
    this.exit = exit;
  }
}

export interface EngineProcess {
  readonly pid: number;
  /** Resolves when the backend is loaded; rejects when it cannot be, or when the process ends before. */
  readonly ready: Promise<BackendInfo>;
  /** Resolves when the process is gone; never rejects. */
  readonly exited: Promise<EngineExit>;
  send(message: HostMessage): void;
  /** Calls back for every message after `ready`, until the process ends; returns a function that stops it. */
  onMessage(listener: (message: ChildMessage) => void): () => void;
  /** Ends the process and whatever it started, at once. Resolves when it is gone. */
  kill(): Promise<EngineExit>;
}

const MEMORY_BYTES = 4 * 2 ** 30;
const STDERR_TAIL = 4000;
/** What stderr still holds when the process exits arrives within this time. */
const STDERR_GRACE_MS = 250;
/** Variables that the engine process inherits; secrets such as the database's address are not among them. */
const INHERITED =
  /^(PATH|HOME|TMPDIR|TEMP|TMP|LANG|LC_.*|TZ|SYSTEMROOT|(DY)?LD_LIBRARY_PATH|(CUDA|NVIDIA|TF|OMP)_.*)$/i;

/** Starts an engine process with the backend asked for. The caller kills it. */
export function forkEngine(options: EngineOptions): EngineProcess {
  const child = spawn(childEnvironment(options.native, process.env));
  const exited = watchExit(child, options.log);
  const ready = new Promise<BackendInfo>((resolve, reject) => {
    child.once('message', (message: ChildMessage) => {
      if (message.type === 'ready') resolve(message.info);
      else if (message.type === 'failed') reject(toAppError(message.error));
    });
    void exited.then((exit) => reject(new EngineCrash(exit)));
  });
  ready.catch(() => {});
  const send = (message: HostMessage) => {
    // A process that ended a moment ago takes no messages; `exited` tells.
    if (child.connected) child.send(message, () => {});
  };
  const { backend, native, memoryBytes = MEMORY_BYTES } = options;
  send({ type: 'init', backend, native, memoryBytes });
  return {
    pid: child.pid!,
    ready,
    exited,
    send,
    onMessage(listener) {
      child.on('message', listener);
      return () => child.off('message', listener);
    },
    kill() {
      killGroup(child);
      return exited;
    },
  };
}

/**
 * The backend that engine processes will have here, found by loading it once.
 * @throws AppError UNAVAILABLE when the backend asked for cannot be had; EngineCrash
 */
export async function probeEngine(options: EngineOptions): Promise<BackendInfo> {
  const engine = forkEngine(options);
  try {
    return await engine.ready;
  } finally {
    await engine.kill();
  }
}

/** What a running job tells its host; the calls come in the order of the events. */
export interface JobListener {
  metrics(rows: MetricRow[]): void;
  progress(progress: Progress): void;
  log(level: 'INFO' | 'WARN' | 'ERROR', message: string, at: number): void;
  part(cell: SweepCell): void;
  snapshot(snapshot: ModelSnapshot): void;
  checkpoint(step: number, file: WrittenFile): void;
}

/** A job's place to work and the point to start from. */
export type JobOrder = Omit<Extract<HostMessage, { type: 'job' }>, 'type'>;

/**
 * Runs one job in a ready engine process and resolves with its result; the process stays alive.
 * @throws AppError what the engine refused or failed at; EngineCrash when the process ended.
 */
export function runEngineJob(
  engine: EngineProcess,
  order: JobOrder,
  listener: JobListener,
): Promise<EngineResult> {
  return new Promise((resolve, reject) => {
    const stop = engine.onMessage((message) => {
      if (message.type === 'done') resolve(message.result);
      else if (message.type === 'failed') reject(toAppError(message.error));
      else return tell(listener, message);
      stop();
    });
    void engine.exited.then((exit) => reject(new EngineCrash(exit)));
    engine.send({ type: 'job', ...order });
  });
}

function tell(listener: JobListener, message: ChildMessage): void {
  if (message.type === 'metrics') listener.metrics(message.rows);
  else if (message.type === 'progress') listener.progress(message.progress);
  else if (message.type === 'log') listener.log(message.level, message.message, message.at);
  else if (message.type === 'part') listener.part(message.cell);
  else if (message.type === 'snapshot') listener.snapshot(message.snapshot);
  else if (message.type === 'checkpoint') listener.checkpoint(message.step, message.file);
}

/** The failure as the error that services and runs know; of an INTERNAL one only the log may tell the cause. */
export function toAppError({ code, message, path, stack }: EngineFailure): AppError {
  const cause = Object.assign(new Error(message), { stack });
  return new AppError(code as AppErrorCode, message, { path, cause });
}

function spawn(env: Record<string, string>): ChildProcess {
  const fromSource = import.meta.url.endsWith('.ts');
  const entry = new URL(`../engine/child.${fromSource ? 'ts' : 'js'}`, import.meta.url);
  const loader = () => ['--import', createRequire(import.meta.url).resolve('tsx')];
  return fork(fileURLToPath(entry), {
    execArgv: fromSource ? loader() : ['--enable-source-maps'],
    env,
    serialization: 'advanced',
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    // A process group of its own: Ctrl-C reaches the host alone, and `kill` reaches the engine's helpers too.
    detached: process.platform !== 'win32',
  });
}

/** The environment of an engine process: the harmless part of `inherited`, and what the native addon needs. */
export function childEnvironment(native: NativeAddon, inherited: NodeJS.ProcessEnv): Record<string, string> {
  const kept = Object.entries(inherited).filter(
    ([name, value]) => INHERITED.test(name) && value !== undefined,
  );
  return { ...(Object.fromEntries(kept) as Record<string, string>), ...nativeEnvironment(native, inherited) };
}

function watchExit(child: ChildProcess, log: Logger): Promise<EngineExit> {
  let stderr = '';
  child.stderr!.setEncoding('utf8').on('data', (text: string) => {
    stderr = (stderr + text).slice(-STDERR_TAIL);
    log.debug({ engine: child.pid }, text.trimEnd());
  });
  child.stdout!.setEncoding('utf8').on('data', (text: string) => {
    log.debug({ engine: child.pid }, text.trimEnd());
  });
  return new Promise((resolve) => {
    child.once('exit', (code, signal) => {
      const report = () => resolve({ code, signal, stderr });
      const grace = setTimeout(report, STDERR_GRACE_MS);
      child.once('close', () => {
        clearTimeout(grace);
        report();
      });
    });
    child.once('error', (error) => resolve({ code: null, signal: null, stderr: error.message }));
  });
}

function killGroup(child: ChildProcess): void {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  try {
    process.kill(process.platform === 'win32' ? child.pid : -child.pid, 'SIGKILL');
  } catch {
    child.kill('SIGKILL');
  }
}

function describeExit({ code, signal, stderr }: EngineExit): string {
  const how = signal ? `by signal ${signal}` : `with exit code ${code}`;
  const outOfMemory =
    signal === 'SIGKILL' || /out of memory|bad_alloc|resource exhausted|OOM/i.test(stderr)
      ? '; most likely it ran out of memory: try a smaller batch size, model or nFree'
      : '';
  return `the engine process ended ${how}${outOfMemory}`;
}
