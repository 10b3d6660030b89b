/** Files of a model repository on the Hugging Face hub, read by range as they are needed. */
import { downloadFile, HubApiError, modelInfo } from '@huggingface/hub';
import { AppError, invalidInput } from '../errors.ts';
import type { CheckpointFiles } from '../formats/huggingFace/checkpoint.ts';
import type { ByteSource } from '../formats/safetensors.ts';

export interface HubOptions {
  /** Origin of the hub. */
  url: string;
  /** Of an account that may read what is not public; null to read as anybody. */
  token: string | null;
}

export interface HubRepository extends CheckpointFiles {
  /** What the revision stands for now; all files are of this commit. */
  commit: string;
}

/** One request, its answer read whole, may take this long. */
const TIMEOUT_MS = 60_000;
const REPO = /^\w[\w.-]*(\/\w[\w.-]*)?$/;
const REVISION = /^\w[\w./-]{0,199}$/;

/** @throws AppError INVALID_INPUT for what cannot be the name of a repository or of a revision. */
export function checkNames(repo: string, revision: string): void {
  if (!REPO.test(repo))
    throw invalidInput(['repo'], `"${repo}" is not a repository's name, such as openai-community/gpt2`);
  if (!REVISION.test(revision))
    throw invalidInput(['revision'], `"${revision}" is not a branch, tag or commit`);
}

/**
 * @param revision A branch, a tag or a commit.
 * @throws AppError INVALID_INPUT when there is no such repository or revision for this server to read; UNAVAILABLE when
 * the hub cannot be reached. So do reads.
 */
export async function openRepository(
  { repo, revision }: { repo: string; revision: string },
  { url, token }: HubOptions,
): Promise<HubRepository> {
  checkNames(repo, revision);
  const access = { hubUrl: url, fetch: fetchInTime, ...(token && { accessToken: token }) };
  const tell = <T>(work: Promise<T>) =>
    work.catch((error) => Promise.reject(toAppError(error, { repo, revision, url })));
  const { sha: commit } = await tell(
    modelInfo({ ...access, name: repo, revision, additionalFields: ['sha'] }),
  );
  const opened = new Map<string, ByteSource>();
  return {
    commit,
    async open(path) {
      // Ranges of the stored file: the xet protocol puts files together from chunks, at more requests a range.
      const known = opened.get(path);
      if (known) return known;
      const blob = await tell(downloadFile({ ...access, repo, path, revision: commit, xet: false }));
      if (!blob) return null;
      const source = {
        size: blob.size,
        read: (begin: number, end: number) => tell(readRange(blob, begin, end)),
      };
      opened.set(path, source);
      return source;
    },
  };
}

async function readRange(blob: Blob, begin: number, end: number): Promise<Buffer> {
  if (begin === end) return Buffer.alloc(0);
  const bytes = Buffer.from(await blob.slice(begin, end).arrayBuffer());
  if (bytes.byteLength === end - begin) return bytes;
  throw new Error(`asked for ${end - begin} bytes, it sent ${bytes.byteLength}`);
}

const fetchInTime: typeof fetch = (input, init) =>
  fetch(input, { ...init, signal: AbortSignal.timeout(TIMEOUT_MS) });

function toAppError(
  error: unknown,
  { repo, revision, url }: { repo: string; revision: string; url: string },
): AppError {
  if (error instanceof HubApiError && [401, 403, 404].includes(error.statusCode))
    return new AppError(
      'INVALID_INPUT',
      `the hub has no repository ${repo} with a revision ${revision} that this server may read (status ${error.statusCode}); HF_TOKEN gives access to what is not public`,
      { path: ['repo'], cause: error },
    );
  const { message, cause } = error as Error & { cause?: { code?: string; message?: string } };
  const why = error instanceof HubApiError ? `status ${error.statusCode}` : (cause?.code ?? message);
  return new AppError(
    'UNAVAILABLE',
    `${repo} cannot be read from the hub at ${url} (${why}); a directory below IMPORT_DIR needs no network`,
    { cause: error },
  );
}
