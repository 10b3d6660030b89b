/** Taking single files out of a wheel, which is a zip archive. */
import { createWriteStream } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { type Entry, openPromise } from 'yauzl';

/**
 * Streams files of `archive` into `directory`.
 * @param destinationOf Path within `directory` for a name in the archive, or null to leave the file out.
 */
export async function extract(
  archive: string,
  directory: string,
  destinationOf: (name: string) => string | null,
): Promise<void> {
  const zip = await openPromise(archive);
  for await (const entry of zip.eachEntry()) {
    const destination = entry.fileName.endsWith('/') ? null : destinationOf(entry.fileName);
    if (destination === null) continue;
    const path = join(directory, destination);
    await mkdir(dirname(path), { recursive: true });
    await pipeline(await zip.openReadStreamPromise(entry), createWriteStream(path, { mode: modeOf(entry) }));
  }
}

/** Permissions, which zip keeps in the upper half of the attributes. */
function modeOf(entry: Entry): number {
  return (entry.externalFileAttributes >>> 16) & 0o777 || 0o644;
}
