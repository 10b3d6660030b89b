/** Finding TensorFlow's libraries and headers: where the caller says, in a Python, or in the pinned wheels. */
import { mkdir, readdir, rename, rm, stat, statfs } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { extract } from './archive.ts';
import { type Command, type Environment, execute, findOnPath } from './command.ts';
import { fetchWheel } from './download.ts';
import { exists, inTemporaryDir, megabytes } from './files.ts';
import type { Machine } from './machine.ts';
import type { Wheel } from './pins.ts';
import { destinationOf, type WheelSet, wheelPart } from './wheels.ts';

/** Libraries and headers to compile against. */
export interface Tensorflow {
  libDir: string;
  includeDir: string;
  /** Directories of NVIDIA libraries that the loader must know. */
  libraryDirs: readonly string[];
}

export const LIBRARIES = ['libtensorflow_cc.so.2', 'libtensorflow_framework.so.2'] as const;
const HEADER = 'tensorflow/c/eager/c_api.h';

/**
 * Reads a directory laid out like Python's `tensorflow` package (libraries at its top) or with `lib` and `include`.
 * @throws Error naming the first file that is missing.
 */
export async function readTensorflowDir(directory: string): Promise<Tensorflow> {
  const libDir = (await exists(join(directory, 'lib', LIBRARIES[0]))) ? join(directory, 'lib') : directory;
  const includeDir = join(directory, 'include');
  for (const file of [...LIBRARIES.map((library) => join(libDir, library)), join(includeDir, HEADER)]) {
    if (!(await exists(file))) throw new Error(`${directory} is not a whole TensorFlow: ${file} is missing.`);
  }
  return { libDir, includeDir, libraryDirs: await listNvidiaDirs(join(dirname(directory), 'nvidia')) };
}

/** Prints where the package is without importing it, which would take seconds. */
export const PYTHON_PROBE =
  'import importlib.util as u, os; s = u.find_spec("tensorflow"); print(os.path.dirname(s.origin) if s and s.origin else "")';

/** TensorFlow of the Python on PATH, or null when it has none that will do for this machine. */
export async function findPythonTensorflow(
  machine: Machine,
  environment: Environment,
): Promise<Tensorflow | null> {
  const python = (await findOnPath('python3', environment)) ?? (await findOnPath('python', environment));
  if (!python) return null;
  const probe: Command = { file: python, args: ['-c', PYTHON_PROBE] };
  const directory = (await execute(probe, environment).catch(() => '')).trim();
  if (directory === '') return null;
  const isCpuBuild = (await readdir(dirname(directory))).some((name) => name.startsWith('tensorflow_cpu-'));
  if (machine.gpus.length > 0 && isCpuBuild) return null;
  return readTensorflowDir(resolve(directory)).catch(() => null);
}

/**
 * Unpacks the wheels of a set into `<root>/<set>`, one after the other, downloading what is missing; parts that are
 * already there are complete, for they are renamed into place.
 */
export async function unpackWheels(
  set: WheelSet,
  root: string,
  environment: Environment,
  log: (message: string) => void,
): Promise<Tensorflow> {
  const directory = join(root, set.name);
  const missing: Wheel[] = [];
  for (const wheel of set.wheels) {
    if (!(await exists(join(directory, wheelPart(wheel))))) missing.push(wheel);
  }
  await requireSpace(root, missing);
  for (const wheel of missing) await unpack(wheel, directory, root, environment, log);
  const found = await readTensorflowDir(join(directory, 'deps'));
  return { ...found, libraryDirs: await listNvidiaDirs(join(directory, 'nvidia')) };
}

async function unpack(
  wheel: Wheel,
  directory: string,
  root: string,
  environment: Environment,
  log: (message: string) => void,
): Promise<void> {
  const archive = await fetchWheel(wheel, root, environment, log);
  const part = join(directory, wheelPart(wheel));
  log(`unpacking ${megabytes(wheel.unpackedBytes)} into ${part}`);
  await mkdir(dirname(part), { recursive: true });
  await inTemporaryDir(root, async (temporary) => {
    // One level down, for the temporary directory itself is closed to other users.
    await extract(archive, join(temporary, 'part'), (name) => destinationOf(wheel, name));
    await rename(join(temporary, 'part'), part);
  });
  await rm(archive);
}

/** @throws Error when the disk cannot take the downloads, pip's own copy of them, and what is unpacked. */
async function requireSpace(root: string, wheels: readonly Wheel[]): Promise<void> {
  const needed = wheels.reduce((sum, wheel) => sum + 2 * wheel.bytes + wheel.unpackedBytes, 0);
  const { bavail, bsize } = await statfs(root);
  if (bavail * bsize < needed) {
    throw new Error(
      `TensorFlow needs ${megabytes(needed)} in ${root} while it is unpacked; ${megabytes(bavail * bsize)} are free.`,
    );
  }
}

async function listNvidiaDirs(directory: string): Promise<string[]> {
  const libraries = await readdir(directory).catch(() => []);
  const dirs = libraries.sort().map((library) => join(directory, library, 'lib'));
  const there = await Promise.all(
    dirs.map((dir) =>
      stat(dir).then(
        (s) => s.isDirectory(),
        () => false,
      ),
    ),
  );
  return dirs.filter((_, i) => there[i]);
}
