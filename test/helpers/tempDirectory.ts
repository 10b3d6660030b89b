import { chmod, mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A new directory that other users may enter: as root, the embedded Postgres in it runs as one of them. */
export async function makeTempDirectory(name: string): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), `alignsae-${name}-`));
  await chmod(directory, 0o755);
  return directory;
}
