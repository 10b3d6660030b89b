/** The process that reads one checkpoint or SAE: told what over IPC, it answers once, and is gone with its host. */
import { basename, join } from 'node:path';
import type { EngineFailure } from '../engine/contract/protocol.ts';
import { AppError, invalidInput } from '../errors.ts';
import { openActivations } from '../formats/activations.ts';
import type { CheckpointFiles } from '../formats/huggingFace/checkpoint.ts';
import { openFiles } from '../formats/huggingFace/files.ts';
import { openCheckpoint } from '../formats/huggingFace/importModel.ts';
import { openForeignSae } from '../formats/sae/foreign.ts';
import { importSae } from '../formats/sae/importSae.ts';
import type { ForeignSae } from '../formats/sae/saeFile.ts';
import { writeChunks } from '../formats/safetensors.ts';
import { jsonOf } from '../storedText.ts';
import { openRepository } from './hub.ts';
import type {
  ActivationsOrder,
  ImportOrder,
  ImportPlace,
  ImportReply,
  ModelOrder,
  ReadActivations,
  ReadCheckpoint,
  ReadSae,
  SaeOrder,
} from './importProcess.ts';
import { findImportPath, resolveImportPath } from './importSource.ts';

// The host decides when this process ends; see `engine/child.ts`.
process.on('SIGINT', () => {});
process.on('SIGTERM', () => {});
process.on('disconnect', () => process.exit(0));
process.once('message', async (order: ImportOrder) => {
  const reply = await read(order).then(
    (read): ImportReply => ({ type: 'read', read }),
    (error): ImportReply => ({ type: 'failed', error: describe(error) }),
  );
  // The host ends this process when it has the reply; without one there is no host.
  process.send?.(reply, () => {});
});

function read(order: ImportOrder): Promise<ReadCheckpoint | ReadSae | ReadActivations> {
  switch (order.what) {
    case 'MODEL':
      return readModel(order);
    case 'SAE':
      return readSae(order);
    case 'ACTIVATIONS':
      return readActivations(order);
  }
}

async function readActivations({
  shards,
  importDir,
  target,
  maxBytes,
}: ActivationsOrder): Promise<ReadActivations> {
  const files = openFiles((path) => findImportPath(path, importDir));
  try {
    const opened = [];
    for (const path of shards)
      opened.push({ name: basename(path), source: (await files.open(path)) ?? missing(path) });
    const { rows, dModel, bytes, chunks } = await openActivations(opened);
    if (bytes > maxBytes)
      throw invalidInput([], `the activations need ${bytes} bytes as float32; MAX_MODEL_SIZE is ${maxBytes}`);
    return { rows, dModel, weights: await writeChunks(target, telling(bytes, chunks())) };
  } finally {
    await files.close();
  }
}

const TELL_EVERY_MS = 250;

/** The same chunks, while the host is told how many of `total` bytes have come. */
async function* telling(
  total: number,
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  let [written, toldAt] = [0, Number.NEGATIVE_INFINITY];
  for await (const chunk of chunks) {
    if (performance.now() - toldAt >= TELL_EVERY_MS) {
      toldAt = performance.now();
      process.send?.({ type: 'progress', written, total } satisfies ImportReply);
    }
    yield chunk;
    written += chunk.byteLength;
  }
}

function missing(path: string): never {
  throw invalidInput(['path'], `${path} is gone`);
}

async function readModel({ origin, target, maxBytes, memoryBytes }: ModelOrder): Promise<ReadCheckpoint> {
  const { commit, ...files } = await open(origin, origin.gguf);
  try {
    const { config, tokenizer, nParams, weights } = await openCheckpoint(files, origin.gguf);
    checkSize('model', weights.bytes, maxBytes);
    if (weights.bytes > memoryBytes)
      throw invalidInput(
        [],
        `the model needs ${weights.bytes} bytes of memory as float32; this machine has ${memoryBytes}`,
      );
    const file = await writeChunks(target, telling(weights.bytes, weights.chunks()));
    return { commit, config, tokenizer: jsonOf(tokenizer), nParams, weights: file };
  } finally {
    await files.close?.();
  }
}

async function readSae(order: SaeOrder): Promise<ReadSae> {
  const { origin, hints, target, maxBytes } = order;
  const { commit, ...files } = await open(origin);
  const { folder } = origin;
  const inFolder = folder === '' ? files : { open: (name: string) => files.open(`${folder}/${name}`) };
  const place = origin.kind === 'HUB' ? `${origin.repo}/${folder}` : origin.path;
  try {
    const foreign = await openForeignSae(inFolder, place, hints);
    const { config, layer, weights } = importSae(foreign);
    checkFits(foreign.label, foreign.sae, order);
    checkSize('SAE', weights.bytes, maxBytes);
    checkMemory(weights.bytes, order);
    return {
      commit,
      file: foreign.label,
      config,
      layer,
      weights: await writeChunks(target, telling(weights.bytes, weights.chunks())),
    };
  } finally {
    await files.close?.();
  }
}

function checkSize(what: string, bytes: number, maxBytes: number): void {
  if (bytes <= maxBytes) return;
  throw invalidInput([], `the ${what} needs ${bytes} bytes as float32; MAX_MODEL_SIZE is ${maxBytes}`);
}

/** Before any weight is read. */
function checkFits(label: string, { dIn, layer }: ForeignSae, { reads }: SaeOrder): void {
  if (dIn !== reads.dModel)
    throw invalidInput(
      ['modelId'],
      `the SAE in ${label} reads activations of width ${dIn}; those of model "${reads.name}" have width ${reads.dModel}`,
    );
  if (reads.onlyLayer !== null && layer !== reads.onlyLayer)
    throw invalidInput(
      ['layer'],
      `the SAE reads layer ${layer}; of model "${reads.name}" the activations of layer ${reads.onlyLayer} alone are known`,
    );
  if (layer < -1 || layer >= reads.nLayers)
    throw invalidInput(
      ['layer'],
      `the SAE reads layer ${layer}; model "${reads.name}" has layers -1 (before the first block) to ${reads.nLayers - 1}`,
    );
}

function checkMemory(bytes: number, { engineBytes }: SaeOrder): void {
  if (bytes <= engineBytes) return;
  throw invalidInput([], `the SAE needs ${bytes} bytes; the engine may hold ${engineBytes} (ENGINE_MEMORY)`);
}

async function open(
  origin: ImportPlace,
  file?: string,
): Promise<CheckpointFiles & { commit: string | null; close?(): Promise<void> }> {
  if (origin.kind === 'HUB') return openRepository(origin, origin.hub);
  const { path, importDir } = origin;
  await resolveImportPath(file === undefined ? path : join(path, file), importDir);
  // Each file by itself: a link in the directory may lead anywhere.
  return { commit: null, ...openFiles((file) => findImportPath(join(path, file), importDir)) };
}

/** Whatever reading trips over lies in the files, or with the disk. */
function describe(error: unknown): EngineFailure {
  if (error instanceof AppError) return { code: error.code, message: error.message, path: [...error.path] };
  const { message, stack, code } = error as NodeJS.ErrnoException;
  if (code?.startsWith('E') && !code.startsWith('ERR_'))
    return { code: 'UNAVAILABLE', message: `the checkpoint cannot be read or stored (${code})`, stack };
  return { code: 'INVALID_INPUT', message: `the checkpoint cannot be read: ${message}`, stack };
}
