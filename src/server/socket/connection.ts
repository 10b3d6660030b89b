/** One WebSocket: what it may have in work, how fast it is sent to, and how it ends. */
import type { Duplex } from 'node:stream';
import { CloseCode } from 'graphql-ws';
import { WebSocket } from 'ws';
import type { LiveResult } from '../live/liveStream.ts';
import type { Sink } from '../live/pump.ts';
import { AnswerBudget } from './answerBudget.ts';
import { textFrames } from './frames.ts';
import { type Incoming, readMessage } from './incoming.ts';

/** RFC 6455: the endpoint is going away; clients reconnect and resume by cursor. */
const GOING_AWAY = 1001;
/** Streams wait while this much has not been taken by the client. */
const UNSENT_BYTES = 256 * 1024;
/** Operations that wait for their turn; beyond, nothing more is read from the socket. */
const HELD_BYTES = 1024 ** 2;
/** A client that does not answer a ping within this is gone. */
const KEEP_ALIVE_MS = 12_000;
/** For the other side to say goodbye. */
const CLOSING_MS = 1000;

/** Takes a message of the protocol; resolves when the operation that it asked for is over. */
export type Receive = (message: string) => Promise<void>;

export class Connection {
  readonly #budget = new AnswerBudget();
  #held: Incoming[] = [];
  #heldBytes = 0;
  #isDraining = false;
  #room: Promise<boolean> | null = null;
  #isAlive = true;
  readonly #keepAlive: NodeJS.Timeout;

  constructor(
    private readonly ws: WebSocket,
    /** Carries the frames; it tells when there is room. */
    private readonly carrier: Duplex,
    private readonly receive: Receive,
  ) {
    // Frames that are none, resets: `ws` closes by itself, and whoever is subscribed is told by `close`.
    ws.on('error', () => undefined);
    ws.on('message', (data) => this.#take(String(data)));
    ws.on('pong', () => {
      this.#isAlive = true;
    });
    carrier.on('drain', () => this.#admitHeld());
    this.#keepAlive = setInterval(() => this.#checkAlive(), KEEP_ALIVE_MS);
    ws.once('close', () => {
      clearInterval(this.#keepAlive);
      this.#held = [];
    });
  }

  /** Sends a message of the protocol. */
  send(message: string): void {
    if (this.ws.readyState !== WebSocket.OPEN) return;
    this.#budget.observe(message.length);
    this.ws.send(message);
  }

  /** Where the results of subscription `id` go. */
  sinkOf(id: string): Sink {
    const head = `{"id":${JSON.stringify(id)},"type":"next","payload":`;
    return {
      ready: () => this.#roomForMore(),
      write: (results) => this.#write(head, results),
    };
  }

  /** Operation `id` is a stream: it is bounded by what it may leave unsent, not by the size of its answer. */
  countAsStream(id: string): void {
    if (this.#budget.end(id)) this.#admitHeld();
  }

  close(code: CloseCode | number, reason: string): void {
    this.ws.close(code, reason);
    setTimeout(() => this.ws.terminate(), CLOSING_MS).unref();
  }

  /** Takes no more operations, and closes when those in work have been answered. */
  drain(): void {
    this.#isDraining = true;
    this.#closeIfDrained();
  }

  terminate(): void {
    this.ws.terminate();
  }

  #write(head: string, results: readonly LiveResult[]): void {
    if (this.ws.readyState !== WebSocket.OPEN) return;
    // `ws` itself writes whole frames, at once, since nothing is compressed: these never come between.
    this.carrier.write(textFrames(results.map(({ json }) => `${head}${json}}`)));
  }

  /** All streams of the socket wait for the same room. */
  #roomForMore(): Promise<boolean> {
    const { ws, carrier } = this;
    if (ws.readyState !== WebSocket.OPEN) return Promise.resolve(false);
    if (ws.bufferedAmount < UNSENT_BYTES) return Promise.resolve(true);
    this.#room ??= new Promise((resolve) => {
      const settle = () => {
        carrier.off('drain', settle).off('close', settle);
        this.#room = null;
        resolve(ws.readyState === WebSocket.OPEN);
      };
      carrier.on('drain', settle).on('close', settle);
    });
    return this.#room;
  }

  #take(text: string): void {
    const message = readMessage(text);
    if (message.refusal !== null) this.send(message.refusal);
    else if (message.starts !== null) this.#beginOrHold(message);
    else if (message.completes === null || !this.#dropHeld(message.completes)) this.#pass(message);
  }

  #beginOrHold(message: Incoming): void {
    if (this.#held.length === 0 && this.#budget.allows(this.ws.bufferedAmount)) {
      this.#begin(message);
      return;
    }
    this.#held.push(message);
    this.#heldBytes += message.text.length;
    if (this.#heldBytes > HELD_BYTES) this.ws.pause();
  }

  #begin(message: Incoming): void {
    const id = message.starts!;
    if (this.#isDraining) {
      this.send(message.refuse('UNAVAILABLE', 'The server is shutting down.'));
      return;
    }
    this.#budget.begin(id);
    this.#pass(message, () => this.#end(id));
  }

  #pass(message: Incoming, onOver: () => void = () => undefined): void {
    this.receive(message.text).then(onOver, () => {
      onOver();
      this.close(CloseCode.InternalServerError, 'Internal server error');
    });
  }

  #end(id: string): void {
    if (!this.#budget.end(id)) return;
    this.#admitHeld();
    this.#closeIfDrained();
  }

  #admitHeld(): void {
    while (this.#held.length > 0 && this.#budget.allows(this.ws.bufferedAmount)) {
      const message = this.#held.shift()!;
      this.#heldBytes -= message.text.length;
      this.#begin(message);
    }
    if (this.ws.isPaused && this.#heldBytes < HELD_BYTES / 2) this.ws.resume();
  }

  /** True when the operation was still waiting: then nobody need hear that it is not wanted any more. */
  #dropHeld(id: string): boolean {
    const kept = this.#held.filter(({ starts }) => starts !== id);
    const isDropped = kept.length < this.#held.length;
    this.#held = kept;
    this.#heldBytes = kept.reduce((sum, { text }) => sum + text.length, 0);
    return isDropped;
  }

  #closeIfDrained(): void {
    if (this.#isDraining && this.#budget.isIdle && this.#held.length === 0)
      this.close(GOING_AWAY, 'The server is shutting down');
  }

  #checkAlive(): void {
    // A socket that is not read because its operations take long is not to blame for an unread pong.
    if (!this.#isAlive && !(this.ws.isPaused && this.ws.bufferedAmount === 0)) {
      this.ws.terminate();
      return;
    }
    this.#isAlive = false;
    if (this.ws.readyState === WebSocket.OPEN) this.ws.ping();
  }
}
