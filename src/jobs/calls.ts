/** Requests to the engine from the API process: one lazily forked child, one at a time, first come first served. */
import type {
  BackendInfo,
  CallMethod,
  CallParams,
  CallResult,
  ChildMessage,
  EngineCall,
  EngineStream,
  StreamItem,
  StreamMethod,
  StreamParams,
} from '../engine/contract/protocol.ts';
import { AppError } from '../errors.ts';
import { EngineCrash, type EngineOptions, type EngineProcess, forkEngine, toAppError } from './host.ts';
import { ItemQueue } from './itemQueue.ts';

export interface EngineCallsOptions extends EngineOptions {
  /** A request of which nothing is heard for longer ends with its child. */
  callTimeoutMs?: number;
  /** A child without requests for this long is let go, with the models it holds. */
  idleMs?: number;
  /** Requests that may wait; more are turned away. */
  maxWaiting?: number;
}

type Order = { type: 'call'; call: EngineCall } | { type: 'stream'; stream: EngineStream };
type Reply = Extract<ChildMessage, { type: 'answer' | 'item' }>;

/** A request that waits, or is being answered. */
interface Request {
  order: Order;
  hear(reply: Reply): void;
  resolve(): void;
  reject(error: unknown): void;
  /** Tells the engine that nobody wants more; null while the request waits. */
  cancel: (() => void) | null;
}

/** Serves engine requests for as long as the process runs; a crash or a timeout costs the running one alone. */
export class EngineCalls {
  readonly #options: EngineOptions & Required<Omit<EngineCallsOptions, keyof EngineOptions>>;
  #engine: EngineProcess | null = null;
  /** That the child which was let go last is gone. */
  #left: Promise<unknown> = Promise.resolve();
  #info: BackendInfo | null = null;
  #waiting: Request[] = [];
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
  call<M extends CallMethod>(method: M, params: CallParams<M>): Promise<CallResult<M>> {
    return new Promise((resolve, reject) => {
      let result: CallResult<M>;
      const hear = (reply: Reply) => {
        if (reply.type === 'answer') result = reply.result.result as CallResult<M>;
      };
      const order: Order = { type: 'call', call: { method, params } as EngineCall };
      this.#enqueue({ order, hear, resolve: () => resolve(result), reject, cancel: null });
    });
  }

  /**
   * Items of a stream as the engine makes them; `return` ends it in the engine at the next item, and at once here.
   * The engine does not wait for a slow consumer, whose items are held here: the parameters bound how many.
   * `next` throws what `call` throws.
   */
  stream<M extends StreamMethod>(method: M, params: StreamParams<M>): AsyncIterableIterator<StreamItem<M>> {
    const items = new ItemQueue<StreamItem<M>>(() => this.#cancel(request));
    const request: Request = {
      order: { type: 'stream', stream: { method, params } as EngineStream },
      hear(reply) {
        if (reply.type === 'item') items.push(reply.item.item as StreamItem<M>);
      },
      resolve: () => items.end(),
      reject: (error) => items.fail(error),
      cancel: null,
    };
    this.#enqueue(request);
    return items;
  }

  /** The backend that requests run on; known after the first fork, which this brings about if need be. */
  async info(): Promise<BackendInfo> {
    if (!this.#info) await this.#ready();
    return this.#info!;
  }

  /** Process id of the child; null while there is none. */
  get enginePid(): number | null {
    return this.#engine?.pid ?? null;
  }

  /** Ends the child; waiting requests are refused. Resolves when no process is left. */
  async stop(): Promise<void> {
    this.#stopped = true;
    for (const { reject } of this.#waiting.splice(0))
      reject(new AppError('UNAVAILABLE', 'the engine is shutting down'));
    await this.#letGo();
  }

  #enqueue(request: Request): void {
    const { maxWaiting } = this.#options;
    if (this.#stopped) request.reject(new AppError('UNAVAILABLE', 'the engine is shutting down'));
    else if (this.#waiting.length >= maxWaiting)
      request.reject(
        new AppError('UNAVAILABLE', `${maxWaiting} engine calls are waiting already; try again later`),
      );
    else {
      this.#waiting.push(request);
      void this.#work();
    }
  }

  #cancel(request: Request): void {
    if (request.cancel) request.cancel();
    else this.#waiting = this.#waiting.filter((waiting) => waiting !== request);
  }

  async #work(): Promise<void> {
    if (this.#busy) return;
    this.#busy = true;
    this.#stayAwake();
    for (let next = this.#waiting.shift(); next; next = this.#waiting.shift())
      await this.#perform(next).then(next.resolve, next.reject);
    this.#busy = false;
    this.#restLater();
  }

  async #perform(request: Request): Promise<void> {
    let cancelled = false;
    request.cancel = () => {
      cancelled = true;
    };
    const engine = await this.#ready();
    if (cancelled) return;
    const { callTimeoutMs } = this.#options;
    let late = false;
    const timeout = setTimeout(() => {
      late = true;
      void engine.kill();
    }, callTimeoutMs);
    try {
      await converse(engine, ++this.#lastId, request, () => timeout.refresh());
    } catch (error) {
      if (!(error instanceof EngineCrash)) throw error;
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
    const engine = this.#engine;
    // At once, for what is asked while this one ends is for the next.
    this.#engine = null;
    if (engine) this.#left = engine.kill();
    await this.#left;
  }

  #stayAwake(): void {
    if (this.#idle) clearTimeout(this.#idle);
    this.#idle = null;
  }

  #restLater(): void {
    if (!this.#stopped) this.#idle = setTimeout(() => void this.#letGo(), this.#options.idleMs).unref();
  }
}

/** Sends the request and resolves when the engine has answered it whole; `onItem` is called between items. */
function converse(engine: EngineProcess, id: number, request: Request, onItem: () => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = engine.onMessage((message) => {
      if (!('id' in message) || message.id !== id) return;
      if (message.type === 'refused') reject(toAppError(message.error));
      else if (message.type === 'ended') resolve();
      else request.hear(message);
      if (message.type === 'item') return onItem();
      resolve();
      stop();
    });
    void engine.exited.then((exit) => reject(new EngineCrash(exit)));
    request.cancel = () => engine.send({ type: 'cancel', id });
    engine.send({ ...request.order, id });
  });
}
