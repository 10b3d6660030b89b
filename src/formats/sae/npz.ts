/**
 * Arrays of a `.npz` file, which is a zip archive of `.npy` files: opened by range, and read as streams, so that one
 * that claims more than it holds costs no more than what it holds.
 */
import { PassThrough, Readable } from 'node:stream';
import { type Entry, fromRandomAccessReaderPromise, RandomAccessReader, type ZipFile } from 'yauzl';
import { type AppError, invalidInput } from '../../errors.ts';
import type { StoredTensor } from '../huggingFace/tensors.ts';
import type { ByteSource } from '../safetensors.ts';
import { NPY_TYPES, type NpyHeader, parseNpyHeader } from './npy.ts';

const MAX_ENTRIES = 64;
/** Bytes that are asked of the source at a time. */
const BLOCK_BYTES = 1 << 22;

/** The arrays by name, without `.npy`; their headers are read, their values are not. @throws AppError INVALID_INPUT. */
export async function openNpz(source: ByteSource, label: string): Promise<Map<string, StoredTensor>> {
  const refuse = (why: string, cause?: unknown) => malformedNpz(label, why, cause);
  const zip = await fromRandomAccessReaderPromise(new SourceReader(source), source.size, {
    lazyEntries: true,
    autoClose: false,
  }).catch((cause: Error) => {
    throw refuse(cause.message, cause);
  });
  const tensors = new Map<string, StoredTensor>();
  try {
    for await (const entry of zip.eachEntry()) {
      if (tensors.size >= MAX_ENTRIES) throw refuse(`it has more than ${MAX_ENTRIES} files`);
      const name = entry.fileName.replace(/\.npy$/, '');
      if (tensors.has(name)) throw refuse(`it has "${name}" twice`);
      tensors.set(name, await openArray(zip, entry, { name, label }));
    }
  } catch (error) {
    throw (error as AppError).code === 'INVALID_INPUT' ? error : refuse((error as Error).message, error);
  }
  return tensors;
}

async function openArray(
  zip: ZipFile,
  entry: Entry,
  { name, label }: { name: string; label: string },
): Promise<StoredTensor> {
  const header = await readArrayHeader(zip, entry, label);
  const { dtype, shape, dataStart, fortran } = header;
  const known = NPY_TYPES[dtype];
  const values = shape.reduce((product, dim) => product * dim, 1);
  if (known && entry.uncompressedSize !== dataStart + known.size * values)
    throw malformedNpz(
      label,
      `"${name}" of shape [${shape}] as ${dtype} needs ${known.size * values} bytes, has ${entry.uncompressedSize - dataStart}`,
    );
  return {
    ...{ name, label, dtype, shape },
    refusal: known
      ? fortran
        ? 'is stored column by column (fortran_order); supported is row by row'
        : null
      : `is ${dtype}; supported are ${Object.keys(NPY_TYPES).join(', ')}`,
    async *read() {
      const stream = await zip.openReadStreamPromise(entry);
      try {
        yield* floatsOf(stream, header, known!);
      } catch (cause) {
        throw malformedNpz(label, `"${name}": ${(cause as Error).message}`, cause);
      } finally {
        stream.destroy();
      }
    },
  };
}

/** Values behind the header, in pieces of whole values. */
async function* floatsOf(
  stream: Readable,
  { dataStart }: NpyHeader,
  { size, toFloats }: (typeof NPY_TYPES)[string],
): AsyncGenerator<Float32Array> {
  let skip = dataStart;
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    const fresh = chunk.subarray(Math.min(skip, chunk.length));
    skip -= chunk.length - fresh.length;
    const bytes = rest.length > 0 ? Buffer.concat([rest, fresh]) : fresh;
    const whole = bytes.length - (bytes.length % size);
    if (whole > 0) yield toFloats(bytes.subarray(0, whole));
    rest = bytes.subarray(whole);
  }
}

async function readArrayHeader(zip: ZipFile, entry: Entry, label: string): Promise<NpyHeader> {
  const stream = await zip.openReadStreamPromise(entry);
  let head: Buffer = Buffer.alloc(0);
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      head = Buffer.concat([head, chunk]);
      const header = parseNpyHeader(head, (why) => malformedNpz(label, `"${entry.fileName}": ${why}`));
      if (header) return header;
    }
  } finally {
    stream.destroy();
  }
  throw malformedNpz(label, `"${entry.fileName}" ends within its header`);
}

/** yauzl's way to a source. */
class SourceReader extends RandomAccessReader {
  readonly #source: ByteSource;

  constructor(source: ByteSource) {
    super();
    this.#source = source;
  }

  override _readStreamForRange(start: number, end: number): PassThrough {
    const through = new PassThrough();
    Readable.from(this.#blocks(start, end))
      .on('error', (error) => through.destroy(error))
      .pipe(through);
    return through;
  }

  async *#blocks(start: number, end: number): AsyncGenerator<Buffer> {
    for (let at = start; at < end; at += BLOCK_BYTES)
      yield await this.#source.read(at, Math.min(at + BLOCK_BYTES, end));
  }
}

function malformedNpz(label: string, why: string, cause?: unknown): AppError {
  const error = invalidInput([label], `${label} is not a readable .npz file: ${why.slice(0, 400)}`);
  if (cause) error.cause = cause;
  return error;
}
