/** The process that reads one checkpoint: told what over IPC, it answers once, and is gone with its host. */
import { join } from 'node:path';
import type { EngineFailure } from '../engine/contract/protocol.ts';
import { AppError, invalidInput } from '../errors.ts';
import type { CheckpointFiles } from '../formats/huggingFace/checkpoint.ts';
import { openFiles } from '../formats/huggingFace/files.ts';
import { openCheckpoint } from '../formats/huggingFace/importModel.ts';
import { writeChunks } from '../formats/safetensors.ts';
import { jsonOf } from '../storedText.ts';
import { openRepository } from './hub.ts';
import type { ImportOrder, ImportReply, ReadCheckpoint } from './importProcess.ts';
import { findImportPath, resolveImportPath } from './importSource.ts';

// The host decides when this process ends; see `engine/child.ts`.
process.on('SIGINT', () => {});
process.on('SIGTERM', () => {});
process.on('disconnect', () => process.exit(0));
process.once('message', async (order: ImportOrder) => {
  const reply = await read(order).then(
    (checkpoint): ImportReply => ({ type: 'read', checkpoint }),
    (error): ImportReply => ({ type: 'failed', error: describe(error) }),
  );
  // The host ends this process when it has the reply; without one there is no host.
  process.send?.(reply, () => {});
});

async function read({ origin, target, maxBytes }: ImportOrder): Promise<ReadCheckpoint> {
  const { commit, ...files } = await open(origin);
  try {
    const { config, tokenizer, nParams, weights } = await openCheckpoint(files, origin.gguf);
    if (weights.bytes > maxBytes)
      throw invalidInput(
        [],
        `the model needs ${weights.bytes} bytes as float32; MAX_MODEL_SIZE is ${maxBytes}`,
      );
    const file = await writeChunks(target, weights.chunks());
    return { commit, config, tokenizer: jsonOf(tokenizer), nParams, weights: file };
  } finally {
    await files.close?.();
  }
}

async function open(
  origin: ImportOrder['origin'],
): Promise<CheckpointFiles & { commit: string | null; close?(): Promise<void> }> {
  if (origin.kind === 'HUB') return openRepository(origin, origin.hub);
  const { path, importDir } = origin;
  await resolveImportPath(origin.gguf === undefined ? path : join(path, origin.gguf), importDir);
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
