/**
 * Reads checkpoints in processes of their own, one each: what a file from outside can cost in time or memory is that
 * process's, and ends with it. Neither a large header nor a strange tokenizer holds up the API.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import type { ModelConfig } from '../engine/contract/model.ts';
import type { EngineFailure } from '../engine/contract/protocol.ts';
import type { SaeConfig } from '../engine/contract/sae.ts';
import type { WrittenFile } from '../engine/contract/writtenFile.ts';
import { AppError } from '../errors.ts';
import type { ImportHints } from '../formats/sae/saeFile.ts';
import { toAppError } from '../jobs/host.ts';
import type { Logger } from '../log.ts';
import type { HubOptions } from './hub.ts';

/** Where files are: in a directory below the import directory, or in a repository on the hub. */
export type ImportPlace =
  | { kind: 'DIRECTORY'; path: string; importDir: string }
  | { kind: 'HUB'; repo: string; revision: string; hub: HubOptions };

interface Target {
  /** A path of one's own. */
  target: string;
  /** Of the weights as float32. */
  maxBytes: number;
}

/** Which model to read, and where to write its weights. */
export interface ModelOrder extends Target {
  what: 'MODEL';
  origin: ImportPlace & {
    /** Which of its files is the model, if it is a GGUF file. */
    gguf?: string;
  };
  /** What this machine has. */
  memoryBytes: number;
}

/** Which SAE to read, and where to write it. */
export interface SaeOrder extends Target {
  what: 'SAE';
  origin: ImportPlace & {
    /** The folder of a repository; empty for its root. */
    folder: string;
  };
  hints: ImportHints;
  /** The model whose activations it must fit. */
  reads: {
    name: string;
    dModel: number;
    nLayers: number;
    /** Of a model of which activations alone are known: their layer. */
    onlyLayer: number | null;
  };
  /** What the engine may hold. */
  engineBytes: number;
}

/** Which activations to read, and where to write them. */
export interface ActivationsOrder extends Target {
  what: 'ACTIVATIONS';
  importDir: string;
  /** Paths of the shards, in the order of their rows. */
  shards: string[];
}

export type ImportOrder = ModelOrder | SaeOrder | ActivationsOrder;

export interface ReadCheckpoint {
  /** Of a repository, what its revision stands for now; null for a directory. */
  commit: string | null;
  config: ModelConfig;
  /** As the database takes it, see `jsonOf`. */
  tokenizer: string;
  nParams: number;
  weights: WrittenFile;
}

export interface ReadSae {
  /** As that of a checkpoint. */
  commit: string | null;
  /** The name of the file of weights. */
  file: string;
  config: SaeConfig;
  layer: number;
  weights: WrittenFile;
}

export interface ReadActivations {
  rows: number;
  dModel: number;
  weights: WrittenFile;
}

/** What is read by which order. */
interface Reads {
  MODEL: ReadCheckpoint;
  SAE: ReadSae;
  ACTIVATIONS: ReadActivations;
}
export type ReadBy<O extends ImportOrder> = Reads[O['what']];

export type ImportReply =
  | { type: 'read'; read: Reads[keyof Reads] }
  | { type: 'failed'; error: EngineFailure }
  | { type: 'progress'; written: number; total: number };

/** An import that is being read. */
export interface RunningImport {
  what: ImportOrder['what'];
  /** The path or the repository, as it was asked for. */
  place: string;
  startedAt: Date;
  /** Bytes of weights that have been read, checked and written as float32. */
  written: number;
  /** Of all weights; null until the headers have been read. */
  total: number | null;
}

/** Imports at a time; each may take the memory below. */
const MAX_IMPORTS = 4;
const MEMORY_MB = 2048;
/** Variables that an import inherits; secrets such as the database's address are not among them. */
const INHERITED =
  /^(PATH|HOME|TMPDIR|TEMP|TMP|LANG|LC_.*|TZ|SYSTEMROOT|NODE_EXTRA_CA_CERTS|NODE_USE_ENV_PROXY|SSL_CERT_.*|(HTTPS?|ALL|NO)_PROXY)$/i;

export class ImportProcesses {
  readonly #log: Logger;
  readonly #running = new Map<ChildProcess, RunningImport>();
  #stopped = false;

  constructor(log: Logger) {
    this.#log = log;
  }

  /**
   * Reads and checks a checkpoint, an SAE or activations and writes the weights to `target`, where nothing is left if that fails.
   * @throws AppError INVALID_INPUT naming what is wrong with it; UNAVAILABLE when the hub or the store is, when too many
   * imports run, when this one took too much memory, or after `stop`.
   */
  async read<O extends ImportOrder>(order: O): Promise<ReadBy<O>> {
    if (this.#stopped) throw stopping();
    if (this.#running.size >= MAX_IMPORTS)
      throw new AppError('UNAVAILABLE', `${MAX_IMPORTS} imports run already; try again when one has ended`);
    const child = spawn();
    const place = placeOf(order);
    const running = { what: order.what, place, startedAt: new Date(), written: 0, total: null };
    this.#running.set(child, running);
    try {
      return await this.#converse(child, order, running);
    } catch (error) {
      await rm(`${order.target}.${child.pid}.tmp`, { force: true });
      await rm(order.target, { force: true });
      throw error;
    } finally {
      child.kill('SIGKILL');
      this.#running.delete(child);
    }
  }

  /** Ends all imports, which are refused as UNAVAILABLE, and takes no more. */
  stop(): void {
    this.#stopped = true;
    for (const child of this.#running.keys()) child.kill('SIGKILL');
  }

  /** What is being read now, the oldest first. */
  get running(): readonly RunningImport[] {
    return [...this.#running.values()];
  }

  #converse<O extends ImportOrder>(
    child: ChildProcess,
    order: O,
    running: RunningImport,
  ): Promise<ReadBy<O>> {
    return new Promise((resolve, reject) => {
      child.stderr!.setEncoding('utf8').on('data', (text: string) => {
        this.#log.debug({ import: child.pid }, text.trimEnd());
      });
      child.on('message', (reply: ImportReply) => {
        if (reply.type === 'progress') {
          running.written = reply.written;
          running.total = reply.total;
          return;
        }
        // It is ended when it has answered, which is no news.
        child.removeAllListeners('exit');
        if (reply.type === 'read') return resolve(reply.read as ReadBy<O>);
        const error = toAppError(reply.error);
        if (reply.error.stack) this.#log.warn({ err: error.cause }, 'an import tripped over its files');
        reject(error);
      });
      child.once('error', reject);
      child.once('exit', (code, signal) => {
        if (this.#stopped) return reject(stopping());
        this.#log.warn({ code, signal }, 'an import ended before it was done');
        reject(
          new AppError(
            'UNAVAILABLE',
            `the import ended before it was done (${signal ?? `exit code ${code}`}); most likely its files need more than the ${MEMORY_MB} MB that reading them may take`,
          ),
        );
      });
      child.send(order, (error) => error && reject(error));
    });
  }
}

function placeOf(order: ImportOrder): string {
  if (order.what === 'ACTIVATIONS') return order.shards[0] ?? '';
  const { origin } = order;
  return origin.kind === 'HUB' ? origin.repo : origin.path;
}

function stopping(): AppError {
  return new AppError('UNAVAILABLE', 'the server is shutting down; import again when it is back');
}

function spawn(): ChildProcess {
  const fromSource = import.meta.url.endsWith('.ts');
  const entry = new URL(`./importChild.${fromSource ? 'ts' : 'js'}`, import.meta.url);
  const loader = () => ['--import', createRequire(import.meta.url).resolve('tsx')];
  return fork(fileURLToPath(entry), {
    execArgv: [`--max-old-space-size=${MEMORY_MB}`, ...(fromSource ? loader() : ['--enable-source-maps'])],
    env: Object.fromEntries(Object.entries(process.env).filter(([name]) => INHERITED.test(name))),
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    // A group of its own: Ctrl-C reaches the host alone, which ends it.
    detached: process.platform !== 'win32',
  });
}
