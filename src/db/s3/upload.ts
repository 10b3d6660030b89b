/** A file to a bucket: in parts, several at a time, each checked against what the server says it has. */
import { createHash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  ListMultipartUploadsCommand,
  ListPartsCommand,
  PutObjectCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import type { NewFile } from '../artifactStore.ts';
import type { Bucket } from './bucket.ts';
import { inParallel } from './parallel.ts';

export const PART_BYTES = 16 * 1024 ** 2;
/** What S3 takes at most. */
const MAX_PARTS = 10_000;

interface Part {
  PartNumber: number;
  ETag: string;
}

/**
 * Uploads the file; what an earlier attempt has uploaded of it is not sent again. True if the server has said of each
 * part what its bytes are: otherwise the object must be read again.
 * @param partBytes Size of a part, 5 MB at least but for the last.
 */
export async function upload(
  bucket: Bucket,
  key: string,
  { path, bytes }: NewFile,
  partBytes = Math.max(PART_BYTES, Math.ceil(bytes / MAX_PARTS)),
): Promise<boolean> {
  const file = await open(path);
  try {
    if (bytes <= partBytes) return await uploadWhole(bucket, key, await readAt(file, 0, bytes));
    return await uploadParts(bucket, key, { file, bytes, partBytes });
  } catch (error) {
    throw bucket.explain(error);
  } finally {
    await file.close();
  }
}

async function uploadWhole(bucket: Bucket, key: string, body: Buffer): Promise<boolean> {
  const hash = md5(body);
  const { ETag } = await bucket.client.send(new PutObjectCommand({ ...bucket.at(key), Body: body }));
  return isHash(ETag, hash);
}

async function uploadParts(
  bucket: Bucket,
  key: string,
  { file, bytes, partBytes }: { file: FileHandle; bytes: number; partBytes: number },
): Promise<boolean> {
  const at = bucket.at(key);
  const UploadId = (await findUpload(bucket, key)) ?? (await beginUpload(bucket, key));
  const sent = await listParts(bucket, key, UploadId);
  const numbers = Array.from({ length: Math.ceil(bytes / partBytes) }, (_, i) => i + 1);
  let isVerified = true;
  const parts = await inParallel(numbers, async (PartNumber): Promise<Part> => {
    const start = (PartNumber - 1) * partBytes;
    const body = await readAt(file, start, Math.min(partBytes, bytes - start));
    const hash = md5(body);
    const before = sent.get(PartNumber);
    if (before !== undefined && isHash(before, hash)) return { PartNumber, ETag: before };
    const { ETag } = await bucket.client.send(
      new UploadPartCommand({ ...at, UploadId, PartNumber, Body: body }),
    );
    isVerified &&= isHash(ETag, hash);
    return { PartNumber, ETag: ETag! };
  });
  await bucket.client.send(
    new CompleteMultipartUploadCommand({ ...at, UploadId, MultipartUpload: { Parts: parts } }),
  );
  return isVerified;
}

async function beginUpload(bucket: Bucket, key: string): Promise<string> {
  const { UploadId } = await bucket.client.send(new CreateMultipartUploadCommand(bucket.at(key)));
  return UploadId!;
}

/** The newest unfinished upload of this object. */
async function findUpload(bucket: Bucket, key: string): Promise<string | null> {
  const { Key } = bucket.at(key);
  const { Uploads = [] } = await bucket.client.send(
    new ListMultipartUploadsCommand({ Bucket: bucket.name, Prefix: Key }),
  );
  const own = Uploads.filter((each) => each.Key === Key);
  own.sort((a, b) => (b.Initiated?.getTime() ?? 0) - (a.Initiated?.getTime() ?? 0));
  return own[0]?.UploadId ?? null;
}

/** What the server has of each part. */
async function listParts(bucket: Bucket, key: string, UploadId: string): Promise<Map<number, string>> {
  const found = new Map<number, string>();
  for (let marker: string | undefined, more = true; more; ) {
    const page = await bucket.client.send(
      new ListPartsCommand({ ...bucket.at(key), UploadId, PartNumberMarker: marker }),
    );
    for (const { PartNumber, ETag } of page.Parts ?? []) found.set(PartNumber!, ETag!);
    more = page.IsTruncated === true && page.NextPartNumberMarker !== undefined;
    marker = page.NextPartNumberMarker;
  }
  return found;
}

/** Forgets unfinished uploads that were begun before then. */
export async function abortUploads(bucket: Bucket, before: Date): Promise<void> {
  const { Uploads = [] } = await bucket.client.send(
    new ListMultipartUploadsCommand({ Bucket: bucket.name, Prefix: bucket.prefix }),
  );
  for (const { Key, UploadId, Initiated } of Uploads)
    if (Initiated && Initiated < before)
      await bucket.client.send(new AbortMultipartUploadCommand({ Bucket: bucket.name, Key, UploadId }));
}

async function readAt(file: FileHandle, start: number, length: number): Promise<Buffer> {
  const buffer = Buffer.allocUnsafe(length);
  for (let done = 0; done < length; ) {
    const { bytesRead } = await file.read(buffer, done, length - done, start + done);
    if (bytesRead === 0) throw new Error(`the file ends at ${start + done} of ${start + length} bytes`);
    done += bytesRead;
  }
  return buffer;
}

const md5 = (body: Buffer) => createHash('md5').update(body).digest();

/** Whether the server's tag is the MD5 of what was sent; encrypted objects have others. */
function isHash(etag: string | undefined, hash: Buffer): boolean {
  return etag?.replaceAll('"', '') === hash.toString('hex');
}
