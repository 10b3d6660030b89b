/** Opening files that somebody else has put there: nothing but regular files, and never waiting for one. */
import { constants } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { type AppError, invalidInput } from '../errors.ts';

/** A FIFO without a writer is not waited for, and a link that has come in the file's place is not followed. */
const FLAGS = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0) | (constants.O_NOFOLLOW ?? 0);

/**
 * Opens the regular file at `path`, where no link stands any more, for reading; the caller closes it.
 * @param label Names it in messages.
 * @throws {AppError} INVALID_INPUT when it is anything else, such as a FIFO or a device, or cannot be opened.
 */
export async function openRegular(path: string, label: string): Promise<FileHandle> {
  try {
    // Before opening, which alone may do something to a device; and after, for it may have changed in between.
    if (!(await stat(path)).isFile()) throw notRegular(label);
    const file = await open(path, FLAGS);
    if ((await file.stat()).isFile()) return file;
    await file.close();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (['EACCES', 'EPERM', 'ENOENT', 'ELOOP'].includes(code ?? ''))
      throw invalidInput([label], `${label} cannot be opened (${code}); may the server read it?`);
    throw error;
  }
  throw notRegular(label);
}

function notRegular(label: string): AppError {
  return invalidInput(
    [label],
    `${label} is not a regular file; directories, FIFOs, sockets and devices are not read`,
  );
}
