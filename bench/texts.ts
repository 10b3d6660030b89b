/**
 * A million tokens of text streamed through a small GPT-2: our stream of activations beside SAELens' `ActivationsStore`,
 * in turn, on the same checkpoint, texts, layer, context, buffer and batch; and what memory our process holds along the
 * way, alone and in a whole pre-training. Linux only, for memory is read from `/proc`.
 * `npx tsx bench/texts.ts [--tokens 1000000] [--times 3] [--python bench/.venv/bin/python] [--directory DIR]`
 */
import { createWriteStream } from 'node:fs';
import { mkdir, mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { readDocuments } from '../src/data/corpus.ts';
import type { CorpusRef } from '../src/engine/contract/corpus.ts';
import type { ModelRef } from '../src/engine/contract/model.ts';
import { execute } from '../src/engine/native/command.ts';
import { writeCorpus } from '../src/formats/corpusFile.ts';
import { openFiles } from '../src/formats/huggingFace/files.ts';
import { openCheckpoint } from '../src/formats/huggingFace/importModel.ts';
import { writeChunks } from '../src/formats/safetensors.ts';
import { obtainPython } from './speed/venv.ts';
import { documents } from './texts/documents.ts';
import type { Answer, Memory, Order } from './texts/ours.ts';

const { values: options } = parseArgs({
  options: {
    tokens: { type: 'string', default: '1000000' },
    times: { type: 'string', default: '3' },
    python: { type: 'string' },
    directory: { type: 'string' },
    cache: { type: 'string', default: join(homedir(), '.cache', 'alignsae') },
  },
});
const SHARED = { tokens: Number(options.tokens), bufferRows: 32_768, batchSize: 4096, layer: 2 };
const PEER = fileURLToPath(new URL('peers/activations.py', import.meta.url));
const OURS = fileURLToPath(new URL('texts/ours.ts', import.meta.url));

const python = options.python ?? (await obtainPython((message) => console.error(message)));
const directory = options.directory ?? (await mkdtemp(join(tmpdir(), 'alignsae-texts-')));
await mkdir(directory, { recursive: true });
await writeTexts();
await execute({ file: python, args: [PEER, 'make', directory] }, process.env);
const corpus = await storeCorpus();
const model = await storeModel();
const seconds: { ours: number[]; theirs: number[] } = { ours: [], theirs: [] };
let versions: Record<string, string> = {};
let streamed: Memory[] = [];
for (let i = 0; i < Number(options.times); i++) {
  const ours = await askOurs('STREAM');
  seconds.ours.push(ours.seconds);
  streamed = ours.memory;
  const theirs = await askTheirs();
  seconds.theirs.push(theirs.seconds);
  versions = theirs.versions;
}
const trained = await askOurs('PRETRAIN');
report();

/** One text a line, as both sides read it. */
async function writeTexts(): Promise<void> {
  const lines = async function* () {
    for await (const text of documents()) yield `${JSON.stringify({ text })}\n`;
  };
  await pipeline(lines, createWriteStream(join(directory, 'texts.jsonl')));
}

async function storeCorpus(): Promise<CorpusRef & { documents: number; bytes: number }> {
  const lines = await readFile(join(directory, 'texts.jsonl'));
  const written = await writeCorpus(join(directory, 'corpus'), readDocuments([lines], 'JSONL'));
  return { ...written, path: written.file.path, hash: written.file.sha256 };
}

async function storeModel(): Promise<ModelRef> {
  const files = openFiles(async (name) => join(directory, 'model', name));
  const checkpoint = await openCheckpoint(files);
  const { path } = await writeChunks(join(directory, 'weights'), checkpoint.weights.chunks());
  await files.close();
  return { weights: path, config: checkpoint.config, tokenizer: checkpoint.tokenizer };
}

async function askOurs(what: Order['what']): Promise<Answer> {
  const order: Order = { ...SHARED, what, model, corpus, cache: options.cache };
  const path = join(directory, 'order.json');
  await writeFile(path, JSON.stringify(order));
  return JSON.parse(await outputOf(process.execPath, ['--import', 'tsx', OURS, path]));
}

async function askTheirs(): Promise<{ seconds: number; versions: Record<string, string> }> {
  const { tokens, bufferRows, batchSize, layer } = SHARED;
  const numbers = [tokens, bufferRows, batchSize, layer].map(String);
  return JSON.parse(await outputOf(python, [PEER, 'run', directory, ...numbers]));
}

/** The last line that a program writes. */
async function outputOf(file: string, args: string[]): Promise<string> {
  const output = await execute({ file, args }, process.env);
  return output.trim().split('\n').at(-1)!;
}

function report(): void {
  const median = (values: number[]) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
  const rate = (time: number) => Math.round(SHARED.tokens / time).toLocaleString('en-US');
  const ratios = seconds.ours.map((own, i) => own / seconds.theirs[i]!);
  const peers = Object.entries(versions).map((pair) => pair.join(' '));
  console.log(
    `${corpus.documents} documents, ${(corpus.bytes / 1e6).toFixed(1)} MB; ${JSON.stringify(SHARED)}`,
  );
  console.log('| | seconds, each time | tokens/s, median |\n| --- | --- | --- |');
  for (const [name, times] of [
    ['this server', seconds.ours],
    [`ActivationsStore (${peers.join(', ')})`, seconds.theirs],
  ] as const)
    console.log(`| ${name} | ${times.map((time) => time.toFixed(1)).join(', ')} | ${rate(median(times))} |`);
  console.log(
    `share of its time: ${ratios.map((ratio) => ratio.toFixed(2)).join(', ')}; median ${median(ratios).toFixed(2)}`,
  );
  console.log('| memory (MB resident) at | stream alone | whole pre-training |\n| --- | --- | --- |');
  for (const share of [0.05, 0.1, 0.25, 0.5, 0.75, 1]) {
    const at = (memory: Memory[]) => memory[Math.max(0, Math.ceil(share * memory.length) - 1)]!;
    console.log(
      `| ${at(streamed).tokens.toLocaleString('en-US')} tokens | ${at(streamed).megabytes.toFixed(0)} | ${at(trained.memory).megabytes.toFixed(0)} |`,
    );
  }
  console.log(
    `pre-training of the whole: ${trained.seconds.toFixed(1)} s, ${rate(trained.seconds)} tokens/s`,
  );
}
