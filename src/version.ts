/** Which code a run's numbers come from: the package's version and, in a checkout, its commit. */
import { readFileSync } from 'node:fs';

const ROOT = new URL('..', import.meta.url);

/** Such as `0.1.0+2f9c1ab04de7`; without a checkout, `0.1.0`. */
export const CODE_VERSION = describeCode();

function describeCode(): string {
  const { version } = JSON.parse(readFileSync(new URL('package.json', ROOT), 'utf8')) as { version: string };
  const commit = readCommit();
  return commit ? `${version}+${commit.slice(0, 12)}` : version;
}

function readCommit(): string | null {
  try {
    const head = readGit('HEAD');
    const ref = /^ref: (.+)$/.exec(head)?.[1];
    if (!ref) return head;
    return (
      readLoose(ref) ?? new RegExp(`^([0-9a-f]{40}) ${ref}$`, 'm').exec(readGit('packed-refs'))?.[1] ?? null
    );
  } catch {
    return null;
  }
}

function readLoose(ref: string): string | null {
  try {
    return readGit(ref);
  } catch {
    return null;
  }
}

function readGit(name: string): string {
  return readFileSync(new URL(`.git/${name}`, ROOT), 'utf8').trim();
}
