/** One bucket and a prefix in it: the few calls that a store needs, with errors that say what to do. */
import type { Readable } from 'node:stream';
import {
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
  type S3ClientConfig,
  S3ServiceException,
} from '@aws-sdk/client-s3';
import { AppError } from '../../errors.ts';

const CONNECT_MS = 5_000;
/** A connection on which nothing comes or goes for longer is dead. */
const SILENCE_MS = 30_000;
const ATTEMPTS = 4;

export interface FoundObject {
  key: string;
  bytes: number;
  modifiedAt: Date;
}

/** Keys are below the prefix. Endpoint, region and credentials are those of the standard AWS variables. */
export class Bucket {
  readonly client: S3Client;
  readonly name: string;
  /** Empty, or ends in a slash. */
  readonly prefix: string;
  /** Such as `s3://bucket/prefix`. */
  readonly url: string;

  /** @param config For tests: where another server is than the environment says. */
  constructor(url: string, config: S3ClientConfig = {}) {
    const { hostname, pathname } = new URL(url);
    this.name = hostname;
    this.prefix = pathname.replace(/^\/+|\/+$/g, '');
    if (this.prefix) this.prefix += '/';
    this.url = url;
    const endpoint = process.env.AWS_ENDPOINT_URL_S3 ?? process.env.AWS_ENDPOINT_URL;
    this.client = new S3Client({
      // Servers at an endpoint of their own seldom have a host name for each bucket.
      forcePathStyle: config.endpoint !== undefined || endpoint !== undefined,
      maxAttempts: ATTEMPTS,
      requestHandler: {
        connectionTimeout: CONNECT_MS,
        requestTimeout: SILENCE_MS,
        socketTimeout: SILENCE_MS,
      },
      // Parts are checked by hashes of our own; not every server knows the newer checksums.
      requestChecksumCalculation: 'WHEN_REQUIRED',
      responseChecksumValidation: 'WHEN_REQUIRED',
      ...config,
    });
  }

  at(key: string) {
    return { Bucket: this.name, Key: this.prefix + key };
  }

  /** Size and version of an object; null where there is none. */
  async head(key: string): Promise<{ bytes: number; etag: string; encrypted: boolean } | null> {
    try {
      const found = await this.client.send(new HeadObjectCommand(this.at(key)));
      return {
        bytes: found.ContentLength ?? 0,
        etag: found.ETag ?? '',
        encrypted: found.ServerSideEncryption !== undefined,
      };
    } catch (error) {
      if (isMissing(error)) return null;
      throw this.explain(error);
    }
  }

  /** The bytes from `start` up to and including `end`, of this version of the object. */
  async read(key: string, range?: { start: number; end: number; etag: string }): Promise<Readable | null> {
    const of = range ? { Range: `bytes=${range.start}-${range.end}`, IfMatch: range.etag } : {};
    try {
      const { Body } = await this.client.send(new GetObjectCommand({ ...this.at(key), ...of }));
      return Body as Readable;
    } catch (error) {
      if (isMissing(error)) return null;
      throw this.explain(error);
    }
  }

  /** A small object, whole; null where there is none. */
  async readText(key: string): Promise<string | null> {
    const body = await this.read(key);
    if (!body) return null;
    const pieces: Buffer[] = [];
    for await (const piece of body) pieces.push(piece as Buffer);
    return Buffer.concat(pieces).toString('utf8');
  }

  /** Writes a small object; with `isNew` one that is there stays. */
  async write(key: string, text: string, isNew = false): Promise<void> {
    try {
      const condition = isNew ? { IfNoneMatch: '*' } : {};
      await this.client.send(new PutObjectCommand({ ...this.at(key), Body: text, ...condition }));
    } catch (error) {
      const status = error instanceof S3ServiceException ? error.$metadata.httpStatusCode : null;
      if (isNew && (status === 412 || status === 409)) return;
      throw this.explain(error);
    }
  }

  async delete(key: string): Promise<void> {
    await this.client.send(new DeleteObjectCommand(this.at(key))).catch((error) => {
      throw this.explain(error);
    });
  }

  /** Every object below, page by page. */
  async *list(below: string): AsyncIterable<FoundObject> {
    for (let token: string | undefined, more = true; more; ) {
      const page = await this.client
        .send(
          new ListObjectsV2Command({
            Bucket: this.name,
            Prefix: this.prefix + below,
            ContinuationToken: token,
          }),
        )
        .catch((error) => {
          throw this.explain(error);
        });
      for (const { Key, Size, LastModified } of page.Contents ?? [])
        yield {
          key: Key!.slice(this.prefix.length),
          bytes: Size ?? 0,
          modifiedAt: LastModified ?? new Date(),
        };
      token = page.NextContinuationToken;
      more = token !== undefined;
    }
  }

  /** An error of the client's in the terms of whoever set the variables. */
  explain(cause: unknown): AppError {
    if (cause instanceof AppError) return cause;
    const { name, message } = cause as Error;
    const status = cause instanceof S3ServiceException ? (cause.$metadata.httpStatusCode ?? 0) : 0;
    const why = REASONS[name] ?? `${status >= 400 ? `it answers ${status}, ` : ''}${name}: ${message}`;
    return new AppError('UNAVAILABLE', `artifact store ${this.url}: it cannot be used: ${why}`, { cause });
  }

  close(): void {
    this.client.destroy();
  }
}

const REASONS: Readonly<Record<string, string>> = {
  NoSuchBucket: 'there is no such bucket; make it, or correct ARTIFACTS_URL',
  InvalidAccessKeyId: 'the access key is unknown; see AWS_ACCESS_KEY_ID',
  SignatureDoesNotMatch: 'the secret is wrong; see AWS_SECRET_ACCESS_KEY',
  CredentialsProviderError: 'there are no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY',
  AccessDenied: 'these credentials may not do it; they need to get, put, list and delete objects there',
};

function isMissing(error: unknown): boolean {
  return error instanceof S3ServiceException && (error.name === 'NoSuchKey' || error.name === 'NotFound');
}
