/** Postgres refuses to run as root, so a root process starts it as somebody else. */
import { spawnSync } from 'node:child_process';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { AppError } from '../../errors.ts';

/** The operating-system user that the postmaster runs as and that owns its files. */
export interface Owner {
  uid: number;
  gid: number;
}

/**
 * Who shall run Postgres on `dataDir`: null for "whoever we are"; for root, the owner of the existing cluster,
 * else of the directory, else `postgres`, else `nobody`.
 */
export async function chooseOwner(dataDir: string): Promise<Owner | null> {
  if (process.getuid?.() !== 0) return null;
  const clusterOwner = await ownerOf(join(dataDir, 'cluster'));
  if (clusterOwner && clusterOwner.uid !== 0) return clusterOwner;
  const users = await readUsers();
  const directoryOwner = await ownerOf(dataDir);
  // initdb looks its user up by name, so a uid without an entry (a bind mount in a container) will not do.
  if (directoryOwner && directoryOwner.uid !== 0 && users.some((u) => u.uid === directoryOwner.uid)) {
    return directoryOwner;
  }
  const user = users.find((u) => u.name === 'postgres') ?? users.find((u) => u.name === 'nobody');
  if (user) return { uid: user.uid, gid: user.gid };
  throw new AppError(
    'UNAVAILABLE',
    'the embedded Postgres cannot run as root, and there is no user "postgres" or "nobody" to run it as; ' +
      'start the server as another user or set DATABASE_URL',
  );
}

/** Whether `owner` can reach `path` and, if it is a file, execute it: asked of the kernel, in the owner's name. */
export function canReach(owner: Owner | null, path: string): boolean {
  if (!owner) return true;
  return spawnSync('/bin/sh', ['-c', 'test -x "$1"', 'sh', path], { ...owner, cwd: '/' }).status === 0;
}

async function ownerOf(path: string): Promise<Owner | null> {
  try {
    const { uid, gid } = await stat(path);
    return { uid, gid };
  } catch {
    return null;
  }
}

async function readUsers(): Promise<(Owner & { name: string })[]> {
  const passwd = await readFile('/etc/passwd', 'utf8').catch(() => '');
  return passwd
    .split('\n')
    .map((line) => line.split(':'))
    .filter((fields) => fields.length >= 4)
    .map(([name, , uid, gid]) => ({ name: name!, uid: Number(uid), gid: Number(gid) }));
}
