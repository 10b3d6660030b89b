/** A running subscription, as transports send it: batches of events, and each as JSON text. */
import { createSourceEventStream, type ExecutionArgs, type ExecutionResult, GraphQLError } from 'graphql';
import { isBatchSource } from '../../schema/oneByOne.ts';
import { type Mask, Renderer, toJson } from './render.ts';

/** One result, ready to be sent. */
export interface LiveResult {
  /** The GraphQL result as JSON. */
  json: string;
  /** Where a subscriber goes on behind it, if the stream can be resumed. */
  cursor: string | null;
}

/** Formally an `ExecutionResult`, so that it passes through the plugins that look at results. */
export class LiveStream implements ExecutionResult {
  readonly data?: undefined;
  readonly errors?: undefined;
  readonly #source: AsyncIterator<unknown>;
  readonly #renderer: Renderer;
  #failure: unknown = null;
  #isClosed = false;
  #onClose: () => void = () => undefined;

  private constructor(
    source: AsyncIterator<unknown>,
    args: ExecutionArgs,
    private readonly mask: Mask,
  ) {
    this.#source = source;
    this.#renderer = new Renderer(args, mask, isBatchSource(source));
  }

  /** Subscribes; an operation that is refused, or that fails at once, is a result with errors. */
  static async open(args: ExecutionArgs, mask: Mask): Promise<LiveStream | ExecutionResult> {
    const source = await createSourceEventStream(args);
    if (!(Symbol.asyncIterator in source)) return source;
    return new LiveStream(source[Symbol.asyncIterator](), args, mask);
  }

  /** Calls `action` once, when the stream has ended, however it did. */
  onClose(action: () => void): void {
    this.#onClose = action;
  }

  /** The next events; null at the end. A failure is one last event. Waits while there are none. */
  async next(): Promise<readonly unknown[] | null> {
    if (this.#isClosed) return this.#takeFailure();
    try {
      const { done, value } = await (isBatchSource(this.#source)
        ? this.#source.nextBatch()
        : one(this.#source));
      if (!done && !this.#isClosed) return value;
    } catch (error) {
      this.#failure ??= error;
    }
    this.close();
    return this.#takeFailure();
  }

  /** What is sent for an event of `next`. */
  render(event: unknown): LiveResult | Promise<LiveResult> {
    if (event instanceof Failure) return { json: toJson({ errors: [event.error] }, this.mask), cursor: null };
    const cursor = isBatchSource(this.#source) ? this.#source.cursorOf(event) : null;
    const json = this.#renderer.render(event);
    return typeof json === 'string' ? { json, cursor } : json.then((text) => ({ json: text, cursor }));
  }

  /** Ends the stream with an error, which is sent to the subscriber as its last result. */
  fail(error: unknown): void {
    if (this.#isClosed) return;
    this.#failure ??= error;
    this.close();
  }

  /** Lets go of the source; `next` ends. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    // What a source throws while it is left concerns nobody any more.
    void Promise.resolve(this.#source.return?.()).catch(() => undefined);
    this.#onClose();
  }

  #takeFailure(): readonly unknown[] | null {
    if (this.#failure === null) return null;
    const error = this.#failure;
    this.#failure = null;
    return [new Failure(error)];
  }
}

class Failure {
  readonly error: GraphQLError;
  constructor(error: unknown) {
    const message = error instanceof Error ? error.message : String(error);
    this.error =
      error instanceof GraphQLError ? error : new GraphQLError(message, { originalError: toError(error) });
  }
}

function toError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}

async function one(source: AsyncIterator<unknown>): Promise<IteratorResult<readonly unknown[]>> {
  const { done, value } = await source.next();
  return done ? { done, value: undefined } : { done: false, value: [value] };
}
