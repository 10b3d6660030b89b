/** The file that keeps a corpus: all documents end to end, and the length of each. */
import { type FileHandle, open, rm } from 'node:fs/promises';
import { CORPUS_TENSORS } from '../engine/contract/corpus.ts';
import type { WrittenFile } from '../engine/contract/writtenFile.ts';
import { invalidInput } from '../errors.ts';
import { encodeHeader, readInto, writeChunks } from './safetensors.ts';

/** Their lengths are held while a corpus is read and used, 4 bytes each. */
const MAX_DOCUMENTS = 50_000_000;
const COPY_BYTES = 1 << 22;

export interface WrittenCorpus {
  file: WrittenFile;
  documents: number;
  /** Of the text, UTF-8. */
  bytes: number;
}

/**
 * Writes documents to `path` as they come; they are never held together.
 * @throws AppError INVALID_INPUT past the most documents that a corpus has; whatever `documents` throws.
 */
export async function writeCorpus(path: string, documents: AsyncIterable<string>): Promise<WrittenCorpus> {
  // How much text there is stands before it, and is known behind it.
  const spool = `${path}.text`;
  const handle = await open(spool, 'w+');
  try {
    const { lengths, bytes } = await spoolText(handle, documents);
    const file = await writeChunks(path, chunksOf(handle, lengths, bytes));
    return { file, documents: lengths.length, bytes };
  } finally {
    await handle.close();
    await rm(spool, { force: true });
  }
}

async function spoolText(handle: FileHandle, documents: AsyncIterable<string>) {
  let lengths = new Int32Array(1024);
  let count = 0;
  let bytes = 0;
  let waiting: Buffer[] = [];
  let waitingBytes = 0;
  const flush = async () => {
    await handle.appendFile(Buffer.concat(waiting));
    [waiting, waitingBytes] = [[], 0];
  };
  for await (const document of documents) {
    if (count === MAX_DOCUMENTS)
      throw invalidInput([], `A corpus holds at most ${MAX_DOCUMENTS} documents; this one has more.`);
    if (count === lengths.length) {
      const longer = new Int32Array(2 * count);
      longer.set(lengths);
      lengths = longer;
    }
    const encoded = Buffer.from(document);
    lengths[count++] = encoded.byteLength;
    bytes += encoded.byteLength;
    waiting.push(encoded);
    waitingBytes += encoded.byteLength;
    if (waitingBytes >= COPY_BYTES || waiting.length >= 1000) await flush();
  }
  await flush();
  return { lengths: lengths.subarray(0, count), bytes };
}

async function* chunksOf(text: FileHandle, lengths: Int32Array, bytes: number): AsyncGenerator<Uint8Array> {
  // Lengths first: what follows text of any length would not stand at a multiple of 4.
  yield encodeHeader(
    {
      [CORPUS_TENSORS.lengths]: { dtype: 'I32', shape: [lengths.length] },
      [CORPUS_TENSORS.text]: { dtype: 'U8', shape: [bytes] },
    },
    {},
  );
  yield new Uint8Array(lengths.buffer, lengths.byteOffset, lengths.byteLength);
  for (let at = 0; at < bytes; at += COPY_BYTES) {
    const chunk = Buffer.alloc(Math.min(COPY_BYTES, bytes - at));
    await readInto(text, 'the corpus', chunk, at);
    yield chunk;
  }
}
