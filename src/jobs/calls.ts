/** Short calls to the engine from the API process: one lazily forked child, one call at a time, first come first served. */
import type { BackendInfo, EngineCall, EngineCallResult } from '../engine/protocol.ts';
import { AppError } from '../errors.ts';
import { EngineCrash, type EngineOptions, type EngineProcess, forkEngine, toAppError } from './host.ts';

export interface EngineCallsOptions extends EngineOptions {
  /** A call that takes longer ends with its child. */
  callTimeoutMs?: number;
  /** A child without calls for this long is let go, with the models it holds. */
  idleMs?: number;
  /** Calls that may wait; more are turned away. */
  maxWaiting?: number;
}

type Method = EngineCall['method'];
type Params<M extends Method> = Extract<EngineCall, { method: M }>['params'];
type Result<M extends Method> = Extract<EngineCallResult, { method: M }>['result'];

interface Waiting {
  call: EngineCall;
  resolve(result: EngineCallResult): void;
  reject(error: unknown): void;
}

/** Serves engine calls for as long as the process runs; a crash or a timeout costs the running call alone. */
export class EngineCalls {
  readonly #options: Required<EngineCallsOptions>;
  #engine: EngineProcess | null = null;
  #info: BackendInfo | null = null;
  #waiting: Waiting[] = [];
  #busy = false;
  #lastId = 0;
  #idle: NodeJS.Timeout | null = null;
  #stopped = false;

  constructor(options: EngineCallsOptions) {
    this.#options = { callTimeoutMs: 60_000, idleMs: 300_000, maxWaiting: 64, ...options };
  }

  /**
   * Calls the engine; the child is forked if there is none.
   * @throws AppError what the engine refused; UNAVAILABLE on a crash, a timeout, a full queue or after `stop`.
   */
  async call<M extends Method>(method: M, params: Params<M>): Promise<Result<M>> {
    if (this.#stopped) throw new AppError('UNAVAILABLE', 'the engine is shutting down');
    const { maxWaiting } = this.#options;
    if (this.#waiting.length >= maxWaiting)
      throw new AppError('UNAVAILABLE', `${maxWaiting} engine calls are waiting already; try again later`);
    const answer = await new Promise<EngineCallResult>((resolve, reject) => {
      this.#waiting.push({ call: { method, params } as EngineCall, resolve, reject });
      void this.#work();
    });
    return answer.result as Result<M>;
  }

  /** The backend that calls run on; known after the first fork, which this brings about if need be. */
  async info(): Promise<BackendInfo> {
    if (!this.#info) await this.#ready();
    return this.#info!;
  }

  /** Process id of the child; null while there is none. */
  get enginePid(): number | null {
    return this.#engine?.pid ?? null;
  }

  /** Ends the child; waiting calls are refused. Resolves when no process is left. */
  async stop(): Promise<void> {
    this.#stopped = true;
    for (const { reject } of this.#waiting.splice(0))
      reject(new AppError('UNAVAILABLE', 'the engine is shutting down'));
    await this.#letGo();
  }

  async #work(): Promise<void> {
    if (this.#busy) return;
    this.#busy = true;
    this.#stayAwake();
    for (let next = this.#waiting.shift(); next; next = this.#waiting.shift()) {
      const { call, resolve, reject } = next;
      await this.#perform(call).then(resolve, reject);
    }
    this.#busy = false;
    this.#restLater();
  }

  async #perform(call: EngineCall): Promise<EngineCallResult> {
    const engine = await this.#ready();
    const { callTimeoutMs } = this.#options;
    const timeout = setTimeout(() => void engine.kill(), callTimeoutMs);
    const startedAt = performance.now();
    try {
      return await exchange(engine, ++this.#lastId, call);
    } catch (error) {
      if (!(error instanceof EngineCrash)) throw error;
      const late = performance.now() - startedAt >= callTimeoutMs;
      const why = late ? `the call took longer than ${callTimeoutMs} ms` : error.message;
      throw new AppError('UNAVAILABLE', why, { cause: error });
    } finally {
      clearTimeout(timeout);
    }
  }

  async #ready(): Promise<EngineProcess> {
    if (this.#stopped) throw new AppError('UNAVAILABLE', 'the engine is shutting down');
    const engine = this.#engine ?? this.#fork();
    try {
      this.#info = await engine.ready;
    } catch (error) {
      void engine.kill();
      throw error instanceof EngineCrash
        ? new AppError('UNAVAILABLE', error.message, { cause: error })
        : error;
    }
    return engine;
  }

  #fork(): EngineProcess {
    const engine = forkEngine(this.#options);
    this.#engine = engine;
    void engine.exited.then(() => {
      if (this.#engine === engine) this.#engine = null;
    });
    return engine;
  }

  async #letGo(): Promise<void> {
    this.#stayAwake();
    await this.#engine?.kill();
  }

  #stayAwake(): void {
    if (this.#idle) clearTimeout(this.#idle);
    this.#idle = null;
  }

  #restLater(): void {
    if (!this.#stopped) this.#idle = setTimeout(() => void this.#letGo(), this.#options.idleMs).unref();
  }
}

function exchange(engine: EngineProcess, id: number, call: EngineCall): Promise<EngineCallResult> {
  return new Promise((resolve, reject) => {
    const stop = engine.onMessage((message) => {
      if ((message.type !== 'answer' && message.type !== 'refused') || message.id !== id) return;
      stop();
      if (message.type === 'answer') resolve(message.result);
      else reject(toAppError(message.error));
    });
    void engine.exited.then((exit) => reject(new EngineCrash(exit)));
    engine.send({ type: 'call', id, call });
  });
}
