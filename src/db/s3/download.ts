/** An object to a file: by ranges, several at a time; what breaks off goes on where it broke off. */
import { type FileHandle, open } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { AppError } from '../../errors.ts';
import type { Bucket } from './bucket.ts';
import { inParallel } from './parallel.ts';
import { PART_BYTES } from './upload.ts';

/** Breaks in one range without a byte in between. */
const MAX_BREAKS = 4;
const PAUSE_MS = 200;
/** Pieces of a connection are small; they are written to disk together. */
const WRITE_BYTES = 1 << 20;

/** Writes the object to `path`, and says how large it is; null where there is none. */
export async function download(
  bucket: Bucket,
  key: string,
  path: string,
  partBytes = PART_BYTES,
): Promise<number | null> {
  const found = await bucket.head(key);
  if (!found) return null;
  const { bytes, etag } = found;
  const file = await open(path, 'w');
  try {
    const starts = Array.from({ length: Math.ceil(bytes / partBytes) }, (_, i) => i * partBytes);
    await inParallel(starts, (start) =>
      readRange(bucket, key, { file, start, end: Math.min(start + partBytes, bytes) - 1, etag }),
    );
    return bytes;
  } finally {
    await file.close();
  }
}

async function readRange(
  bucket: Bucket,
  key: string,
  { file, start, end, etag }: { file: FileHandle; start: number; end: number; etag: string },
): Promise<void> {
  let at = start;
  for (let breaks = 0; at <= end; ) {
    const from = at;
    try {
      const body = await bucket.read(key, { start: at, end, etag });
      if (!body) throw new AppError('UNAVAILABLE', `${bucket.url}/${key} is gone`);
      await write(file, body, at, (bytes) => {
        at += bytes;
      });
      if (at <= end) throw new Error(`the connection ended at byte ${at} of ${end + 1}`);
    } catch (error) {
      breaks = at > from ? 0 : breaks + 1;
      if (breaks >= MAX_BREAKS) throw bucket.explain(error);
      await delay(PAUSE_MS);
    }
  }
}

/** Writes all that comes; what came before a connection broke off is written, too, and told. */
async function write(
  file: FileHandle,
  body: Readable,
  position: number,
  onWritten: (bytes: number) => void,
): Promise<void> {
  let pieces: Buffer[] = [];
  let bytes = 0;
  let at = position;
  const flush = async () => {
    if (bytes === 0) return;
    const { bytesWritten } = await file.writev(pieces, at);
    if (bytesWritten < bytes) throw new Error(`the disk took ${bytesWritten} of ${bytes} bytes`);
    at += bytes;
    onWritten(bytes);
    pieces = [];
    bytes = 0;
  };
  try {
    for await (const piece of body) {
      pieces.push(piece as Buffer);
      bytes += (piece as Buffer).length;
      if (bytes >= WRITE_BYTES) await flush();
    }
  } finally {
    await flush();
  }
}
