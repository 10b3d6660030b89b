/**
 * The engine process: forked by a host, told what to do over IPC, and gone with the host. It knows no database, no
 * GraphQL and no environment; it reads the paths it is given and writes into its work directory.
 */
import { setImmediate as turnOfTheLoop } from 'node:timers/promises';
import { AppError } from '../errors.ts';
import type { Calls } from './calls.ts';
import type { ChildMessage, EngineFailure, HostMessage, JobContext } from './contract/protocol.ts';
import type { EngineJobs, EngineRunKind } from './contract/runs.ts';
import { loadBackend } from './native/backend.ts';
import { once } from './once.ts';
import { ChildReporter } from './reporter.ts';

type Message<T extends HostMessage['type']> = Extract<HostMessage, { type: T }>;

let reporter: ChildReporter | null = null;
/** What answers requests, loaded with the first of them. */
let calls: () => Promise<Calls>;
/** Calls are answered one after the other: the backend is one, and so is its memory. */
let lastCall: Promise<void> = Promise.resolve();
/** Streams that wait or run, by id; aborted when nobody wants them any more. */
const streams = new Map<number, AbortController>();

// The host decides when this process ends. Signals to the whole group (Ctrl-C, a service manager) must not take
// away the checkpoint that the host asks for while it drains.
process.on('SIGINT', () => {});
process.on('SIGTERM', () => {});
process.on('disconnect', () => process.exit(0));
process.on('message', (message: HostMessage) => receive(message));
if (!process.connected) process.exit(0);

function receive(message: HostMessage): void {
  switch (message.type) {
    case 'init':
      void start(message);
      break;
    case 'job':
      void runJob(message);
      break;
    case 'call':
      lastCall = lastCall.then(() => serve(message));
      break;
    case 'stream':
      streams.set(message.id, new AbortController());
      lastCall = lastCall.then(() => serveStream(message));
      break;
    case 'cancel':
      streams.get(message.id)?.abort();
      break;
    case 'stored':
      reporter?.onStored(message.rows);
      break;
    case 'checkpointed':
      reporter?.onCheckpointed();
      break;
    case 'wantCheckpoint':
      reporter?.onWantCheckpoint();
      break;
  }
}

async function start({ backend, native, memoryBytes }: Message<'init'>): Promise<void> {
  calls = once(async () => (await import('./calls.ts')).createCalls(memoryBytes));
  try {
    send({ type: 'ready', info: await loadBackend(backend, native) });
  } catch (error) {
    send({ type: 'failed', error: describe(error) });
  }
}

async function runJob({ job, resumeFrom, workDir, checkpointEveryMs }: Message<'job'>): Promise<void> {
  reporter = new ChildReporter(send, checkpointEveryMs);
  try {
    const result = await execute(job, { reporter, workDir, resumeFrom });
    reporter.flush();
    send({ type: 'done', result });
  } catch (error) {
    reporter.flush();
    send({ type: 'failed', error: describe(error) });
  }
}

type Work<K extends EngineRunKind> = (
  job: EngineJobs[K]['job'],
  context: JobContext,
) => Promise<EngineJobs[K]['result']>;

/** A process loads only the code of what it is asked to do, and is ready the sooner. */
const WORK: { [K in EngineRunKind]: () => Promise<Work<K>> } = {
  MODEL: async () => (await import('./model/train.ts')).trainModel,
  ALIGNMENT: async () => (await import('./align/align.ts')).runAlignment,
  BASELINE: async () => (await import('./align/align.ts')).runBaseline,
  SWAP_SWEEP: async () => (await import('./edits/sweep.ts')).runSwapSweep,
  CHECKPOINT_ANALYSIS: async () => (await import('./grok/analyse.ts')).runCheckpointAnalysis,
  HOP_SWAP: async () => (await import('./edits/hopSwaps.ts')).runHopSwaps,
  SAE_EVALUATION: async () => (await import('./align/evaluate.ts')).runSaeEvaluation,
  KNOWLEDGE: async () => (await import('./edits/measureKnowledge.ts')).runKnowledge,
};

async function execute<K extends EngineRunKind>(
  job: EngineJobs[K]['job'] & { kind: K },
  context: JobContext,
): Promise<EngineJobs[K]['result']> {
  const work: Work<K> = await WORK[job.kind]();
  return work(job, context);
}

async function serve({ id, call }: Message<'call'>): Promise<void> {
  try {
    const { answer } = await calls();
    send({ type: 'answer', id, result: await answer(call) });
  } catch (error) {
    send({ type: 'refused', id, error: describe(error) });
  }
}

async function serveStream({ id, stream }: Message<'stream'>): Promise<void> {
  const { signal } = streams.get(id)!;
  try {
    const { open } = await calls();
    const items = signal.aborted ? [] : open(stream);
    for await (const item of items) {
      if (signal.aborted) break;
      send({ type: 'item', id, item });
      await turnOfTheLoop(); // for a cancel to come in
    }
    send({ type: 'ended', id });
  } catch (error) {
    send({ type: 'refused', id, error: describe(error) });
  } finally {
    streams.delete(id);
  }
}

function send(message: ChildMessage): void {
  // Without a channel the host is gone, and the disconnect handler ends this process.
  if (process.connected) process.send!(message);
}

function describe(error: unknown): EngineFailure {
  if (error instanceof AppError) return { code: error.code, message: error.message, path: [...error.path] };
  const { message, stack } = error instanceof Error ? error : new Error(String(error));
  return { code: 'INTERNAL', message, stack };
}
