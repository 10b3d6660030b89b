/** Where an import's bytes come from: text in the request, uploaded files, or files below an allowed directory. */
import type { ReadStream } from 'node:fs';
import { readdir, realpath, stat } from 'node:fs/promises';
import { basename, isAbsolute, join, relative, resolve, sep } from 'node:path';
import type { Bytes } from '../data/lines.ts';
import { shortText } from '../data/text.ts';
import { type AppError, invalidInput, parseOrThrow } from '../errors.ts';
import { openRegular } from '../formats/regularFile.ts';

export interface ImportFile {
  name: string;
  /** Read once. */
  bytes: Bytes;
}

export interface OpenSource {
  files: readonly ImportFile[];
  /** Closes what is still open, read to its end or not. */
  close(): void;
}

/** Exactly one of the three. */
export interface ImportSource {
  /** Of a file or a directory of files, relative to the import directory. */
  path?: string | null;
  /** The text of one file. */
  content?: string | null;
  files?: readonly ImportFile[] | null;
}

/**
 * The files that a source names; those of a path are opened when they are read. The caller closes it.
 * @throws AppError INVALID_INPUT when none or several ways are used, or the path leads out of `importDir`, by
 * `..`, absolutely or by a link, or to no file.
 */
export async function openSource(source: ImportSource, importDir: string): Promise<OpenSource> {
  const { path, content, files } = source;
  const given = [path, content, files].filter((way) => way !== undefined && way !== null).length;
  if (given !== 1) throw invalidInput(['path'], `give one of path, content and files, got ${given} of them`);
  const close = () => undefined;
  if (typeof content === 'string')
    return { files: [{ name: 'content', bytes: [Buffer.from(content)] }], close };
  if (files) {
    const name = (i: number) => parseOrThrow(shortText, files[i]!.name, ['files', String(i), 'name']);
    return { files: files.map(({ bytes }, i) => ({ name: name(i), bytes })), close };
  }
  return openPaths(await listFiles(await resolveImportPath(path!, importDir), path!));
}

/** The file itself, or the files directly in the directory; links in it are left out. */
async function listFiles(absolute: string, given: string): Promise<string[]> {
  const info = await stat(absolute);
  if (info.isFile()) return [absolute];
  if (!info.isDirectory()) throw invalidInput(['path'], `path "${given}" is neither a file nor a directory`);
  const entries = await readdir(absolute, { withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(absolute, entry.name));
}

function openPaths(paths: readonly string[]): OpenSource {
  const open: ReadStream[] = [];
  async function* read(path: string): AsyncGenerator<Uint8Array> {
    const stream = (await openRegular(path, basename(path))).createReadStream();
    open.push(stream);
    yield* stream;
  }
  return {
    files: paths.map((path) => ({ name: basename(path), bytes: read(path) })),
    close() {
      for (const stream of open) stream.destroy();
    },
  };
}

/**
 * Where a path below `importDir` leads, links followed.
 * @throws AppError INVALID_INPUT as `openSource` does.
 */
export async function resolveImportPath(path: string, importDir: string): Promise<string> {
  const real = await findImportPath(path, importDir);
  if (real === null) throw refuse(path, 'does not exist in the import directory');
  return real;
}

/** As `resolveImportPath`; null where there is nothing. */
export async function findImportPath(path: string, importDir: string): Promise<string | null> {
  if (path.includes('\0')) throw refuse(path, 'must not contain a null character');
  if (isAbsolute(path)) throw refuse(path, 'must be relative to the import directory');
  if (!isWithin(resolve(importDir, path), resolve(importDir)))
    throw refuse(path, 'leads out of the import directory');
  const root = await realpath(importDir).catch(() => null);
  if (!root) throw refuse(path, 'cannot be read: the server has no import directory');
  const real = await realpath(join(root, path)).catch(() => null);
  if (real && !isWithin(real, root)) throw refuse(path, 'leads out of the import directory');
  return real;
}

function refuse(path: string, reason: string): AppError {
  return invalidInput(['path'], `path "${path}" ${reason}`);
}

function isWithin(path: string, directory: string): boolean {
  const way = relative(directory, path);
  return way !== '..' && !way.startsWith(`..${sep}`) && !isAbsolute(way);
}
