/** A process that does a piece of work when it is told to, ours or Python's; both speak the same lines of JSON. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import type { Work } from './work.ts';

export interface Setup {
  work: Work;
  /** Path of a `.safetensors` with initial weights (`weights.…`) and the batch (`batch.…`). */
  inputs: string;
  /** How to do the work; empty for ours. */
  variant: string;
  threads: number;
  /** Of the native engine; the Python worker has no use for it. */
  cache: string;
}

/**
 * What is asked of a worker, by `type`, and what it answers: the parts that a run has, among which its time is divided,
 * numbers to compare, and milliseconds of each run.
 */
export interface Requests {
  setup: { ask: Setup; answer: { versions: Record<string, string>; units: number } };
  check: { ask: object; answer: { values: number[] } };
  run: { ask: { times: number }; answer: { ms: number[] } };
}

export class Contestant {
  readonly name: string;
  readonly #process: ChildProcess;
  readonly #answers: AsyncIterator<string>;

  /** Starts `command`, which reads requests from stdin and answers on descriptor 3, with these variables besides ours. */
  constructor(
    name: string,
    command: readonly string[],
    threads: number,
    variables: Readonly<Record<string, string>> = {},
  ) {
    this.name = name;
    const [program, ...args] = command;
    const number = `${threads}`;
    const env = { ...process.env, ...variables, TF_NUM_INTRAOP_THREADS: number, OMP_NUM_THREADS: number };
    this.#process = spawn(program!, args, { stdio: ['pipe', process.stderr, 'inherit', 'pipe'], env });
    const lines = createInterface({ input: this.#process.stdio[3] as Readable });
    this.#answers = lines[Symbol.asyncIterator]();
  }

  /** @throws Error with the worker's own message when it fails, or when it ends. */
  async ask<T extends keyof Requests>(type: T, request: Requests[T]['ask']): Promise<Requests[T]['answer']> {
    this.#process.stdin!.write(`${JSON.stringify({ type, ...request })}\n`);
    const { value, done } = await this.#answers.next();
    if (done) throw new Error(`${this.name} ended while it was asked to ${type}`);
    const answer = JSON.parse(value) as { error?: string } & Requests[T]['answer'];
    if (answer.error !== undefined) throw new Error(`${this.name} failed to ${type}: ${answer.error}`);
    return answer;
  }

  /** Most memory that the process has held at once, in bytes; null where the system does not tell. */
  async peakBytes(): Promise<number | null> {
    const status = await readFile(`/proc/${this.#process.pid}/status`, 'utf8').catch(() => '');
    const kilobytes = /^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1];
    return kilobytes === undefined ? null : Number(kilobytes) * 1024;
  }

  /** Makes `peakBytes` begin anew; nothing happens where the system has no such thing. */
  async forgetPeak(): Promise<void> {
    await writeFile(`/proc/${this.#process.pid}/clear_refs`, '5').catch(() => {});
  }

  async end(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const ended = once(this.#process, 'exit');
    this.#process.kill();
    await ended;
  }
}
