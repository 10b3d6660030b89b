/** Our side of `bench/texts.ts`, in a process of its own: draws activations, or pre-trains on them, and says what it took. */
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generateBiographies } from '../../src/data/biography.ts';
import { runBaseline } from '../../src/engine/align/align.ts';
import { resolveBaselineSettings } from '../../src/engine/contract/baselineSettings.ts';
import type { CorpusRef } from '../../src/engine/contract/corpus.ts';
import type { ModelRef } from '../../src/engine/contract/model.ts';
import type { JobContext } from '../../src/engine/contract/protocol.ts';
import { loadLanguageModel } from '../../src/engine/model/languageModel.ts';
import { openCorpus } from '../../src/engine/texts/corpus.ts';
import { createTextStream } from '../../src/engine/texts/textStream.ts';
import { loadBenchBackend } from '../backend.ts';

export interface Order {
  what: 'STREAM' | 'PRETRAIN';
  model: ModelRef;
  corpus: CorpusRef;
  tokens: number;
  bufferRows: number;
  batchSize: number;
  layer: number;
  cache: string;
}

/** Megabytes resident when so many tokens were drawn. */
export interface Memory {
  tokens: number;
  megabytes: number;
}

export interface Answer {
  seconds: number;
  memory: Memory[];
}

const order = JSON.parse(readFileSync(process.argv[2]!, 'utf8')) as Order;
await loadBenchBackend('native', order.cache);
process.stdout.write(JSON.stringify(await (order.what === 'STREAM' ? stream() : pretrain())));
process.exit(0);

async function stream(): Promise<Answer> {
  const model = await loadLanguageModel(order.model);
  const corpus = await openCorpus(order.corpus);
  const { bufferRows, layer } = order;
  const memory: Memory[] = [];
  const began = performance.now();
  const texts = createTextStream(model, corpus, {
    ...{ bufferRows, layer, contextLength: 128, draws: 1, seed: 0, stream: 'BENCH' },
    breathe: async () => {},
  });
  for (let drawn = 0; drawn < order.tokens; drawn += order.batchSize) {
    await texts.next(order.batchSize);
    memory.push({ tokens: drawn + order.batchSize, megabytes: resident() });
  }
  return { seconds: (performance.now() - began) / 1000, memory };
}

/** The whole job of a baseline; its prompts are of the smallest data set that there is. */
async function pretrain(): Promise<Answer> {
  const memory: Memory[] = [];
  const { batchSize, bufferRows, layer, tokens, model, corpus } = order;
  const workDir = await mkdtemp(join(tmpdir(), 'alignsae-texts-'));
  const context: JobContext = {
    ...{ workDir, resumeFrom: null },
    reporter: {
      metrics: ({ step }) => memory.push({ tokens: step * batchSize, megabytes: resident() }),
      ...{ progress() {}, log() {}, part() {}, snapshot() {}, checkpointDue: () => false },
      checkpoint: async () => {},
      breathe: async () => {},
    },
  };
  const settings = resolveBaselineSettings(
    {
      ...{ trainOn: 'TEXTS', layer, batchSize, nFree: 1024, logEvery: 1, validateEvery: 1_000_000 },
      ...{ steps: Math.ceil(tokens / batchSize), texts: { bufferRows, contextLength: 128 } },
    },
    6,
  );
  const began = performance.now();
  await runBaseline(
    { kind: 'BASELINE', model, dataset: generateBiographies({ people: 2, seed: 0 }), settings, corpus },
    context,
  );
  await rm(workDir, { recursive: true, force: true });
  return { seconds: (performance.now() - began) / 1000, memory };
}

function resident(): number {
  const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))![1];
  return Number(kilobytes) / 1024;
}
