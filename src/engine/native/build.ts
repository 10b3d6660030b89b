/**
 * Builds the native engine once and keeps it in the cache directory, so that neither `npm ci` nor another checkout
 * repeats it: TensorFlow's libraries, and tfjs-node's binding compiled against them.
 */
import { createHash } from 'node:crypto';
import { copyFile, mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join, relative, resolve } from 'node:path';
import type { NativeAddon } from '../contract/native.ts';
import type { ProductChoice } from '../contract/products.ts';
import { type Environment, execute } from './command.ts';
import { ADDON, type BindingSource, compileCommands, findCompiler, readBindingSource } from './compile.ts';
import { inTemporaryDir, sha256Of, temporaryDir } from './files.ts';
import { withLock } from './lock.ts';
import { inspectMachine, type Machine, unsupportedReason } from './machine.ts';
import { findPrebuilt } from './prebuilt.ts';
import { probeAddon } from './products.ts';
import {
  findPythonTensorflow,
  LIBRARIES,
  readTensorflowDir,
  type Tensorflow,
  unpackWheels,
} from './tensorflow.ts';
import { chooseWheels } from './wheels.ts';

export interface NativeOptions {
  /** Directory for what is kept; the builder owns `native` in it. */
  cacheDir: string;
  /** An unpacked TensorFlow to use instead of looking for one; null to look. */
  tensorflowDir: string | null;
  /** The variables that the programs it runs see; PATH decides which compiler, Python and pip are found. */
  environment: Environment;
  /** Told what happens, in whole sentences without a full stop; silent when everything is there already. */
  log: (message: string) => void;
}

/** What a finished build leaves behind, to be found whole the next time; paths within the cache are relative to it. */
interface BuildRecord {
  addon: string;
  /** Of the addon. */
  sha256: string;
  tensorflowVersion: string;
  libraries: { path: string; bytes: number }[];
  libraryDirs: readonly string[];
  /** Measured once, when the addon was new here. */
  products: ProductChoice[];
}

/** Where an addon below an unpacked wheel finds its libraries. */
export const RPATH = '$ORIGIN/../../deps/lib';

interface Build {
  options: NativeOptions;
  machine: Machine;
  source: BindingSource;
  /** The builder's directory in the cache. */
  root: string;
  recordFile: string;
}

/**
 * Returns the native addon, building it if need be: from `tensorflowDir`, the TensorFlow of a Python, or a pinned
 * wheel. Calls at the same time wait for one another. Never throws: whatever stands in the way is the reason.
 */
export async function prepareNative(options: NativeOptions): Promise<NativeAddon> {
  try {
    const machine = await inspectMachine(options.environment);
    const reason = unsupportedReason(machine);
    if (reason) return { available: false, reason };
    const build = await describeBuild(options, machine);
    return (await readFinished(build)) ?? (await buildOnce(build));
  } catch (error) {
    return { available: false, reason: (error as Error).message };
  }
}

async function describeBuild(options: NativeOptions, machine: Machine): Promise<Build> {
  const source = await readBindingSource();
  const root = join(resolve(options.cacheDir), 'native');
  const { tensorflowDir } = options;
  const name = tensorflowDir ? `directory-${shortHash(resolve(tensorflowDir))}` : chooseWheels(machine).name;
  return { options, machine, source, root, recordFile: join(root, `${name}-${source.key}.json`) };
}

/** The addon of an earlier build if nothing of it is missing or changed, or null. */
async function readFinished({ root, recordFile, machine }: Build): Promise<NativeAddon | null> {
  const text = await readFile(recordFile, 'utf8').catch(() => null);
  if (text === null) return null;
  const record = JSON.parse(text) as BuildRecord;
  const path = resolve(root, record.addon);
  if ((await sha256Of(path).catch(() => null)) !== record.sha256) return null;
  for (const library of record.libraries) {
    if ((await sizeOf(resolve(root, library.path))) !== library.bytes) return null;
  }
  const libraryDirs = record.libraryDirs.map((directory) => resolve(root, directory));
  return {
    available: true,
    path,
    tensorflowVersion: record.tensorflowVersion,
    gpus: machine.gpus,
    libraryDirs,
    products: record.products,
  };
}

async function buildOnce(build: Build): Promise<NativeAddon> {
  const { root, options } = build;
  await mkdir(root, { recursive: true });
  const onWait = () => options.log('waiting for another process that builds the native engine');
  return withLock(root, onWait, async () => {
    const finished = await readFinished(build);
    if (finished) return finished;
    // What an interrupted build was writing.
    await rm(temporaryDir(root), { recursive: true, force: true });
    await compileAgainstFirst(build);
    const built = await readFinished(build);
    if (!built) throw new Error(`The native engine was built and is not whole in ${root}.`);
    return built;
  });
}

/** Compiles against the given TensorFlow, or the first that works of a Python's and the pinned wheel's. */
async function compileAgainstFirst(build: Build): Promise<void> {
  const { options, machine, root } = build;
  if (!options.tensorflowDir && (await usePrebuilt(build))) return;
  const compiler = await findCompiler(options.environment);
  if (options.tensorflowDir) {
    return compile(build, compiler, await readTensorflowDir(resolve(options.tensorflowDir)));
  }
  const ofPython = await findPythonTensorflow(machine, options.environment);
  if (ofPython) {
    try {
      return await compile(build, compiler, ofPython);
    } catch (error) {
      options.log(`the TensorFlow in ${ofPython.libDir} does not serve: ${(error as Error).message}`);
    }
  }
  const set = chooseWheels(machine);
  await compile(build, compiler, await unpackWheels(set, root, options.environment, options.log));
}

/** Without a compiler, where an addon for these sources and this processor is installed beside; false where it does not serve. */
async function usePrebuilt(build: Build): Promise<boolean> {
  const { options, machine, root, source } = build;
  const prebuilt = await findPrebuilt(source);
  if (!prebuilt) return false;
  try {
    if ((await sha256Of(prebuilt.file)) !== prebuilt.sha256) throw new Error('it is damaged');
    const set = chooseWheels(machine);
    const tensorflow = await unpackWheels(set, root, options.environment, options.log);
    const addon = join(root, set.name, 'addons', source.key, ADDON);
    options.log(`taking the addon that is prebuilt for ${prebuilt.level}`);
    await mkdir(dirname(addon), { recursive: true });
    await inTemporaryDir(root, async (directory) => {
      await copyFile(prebuilt.file, join(directory, ADDON));
      await rename(join(directory, ADDON), addon);
    });
    await record(build, addon, tensorflow);
    return true;
  } catch (error) {
    options.log(`${prebuilt.file} does not serve: ${(error as Error).message}`);
    return false;
  }
}

async function compile(build: Build, compiler: string, tensorflow: Tensorflow): Promise<void> {
  const { root, options, source } = build;
  const own = isWithin(root, tensorflow.libDir);
  const home = own
    ? resolve(tensorflow.libDir, '../..')
    : join(root, 'external', shortHash(tensorflow.libDir));
  const addon = join(home, 'addons', source.key, ADDON);
  const rpath = own ? RPATH : tensorflow.libDir;
  await mkdir(dirname(addon), { recursive: true });
  options.log(`compiling the addon against ${tensorflow.libDir} with ${compiler}`);
  await inTemporaryDir(root, async (directory) => {
    for (const command of compileCommands(compiler, source, tensorflow, rpath, directory)) {
      await execute(command, options.environment);
    }
    await rename(join(directory, ADDON), addon);
  });
  await record(build, addon, tensorflow);
}

/** Tries the addon and writes the record. */
async function record(build: Build, addon: string, tensorflow: Tensorflow): Promise<void> {
  const { root, options, recordFile } = build;
  const { libDir, libraryDirs } = tensorflow;
  const { tensorflowVersion, products } = await probeAddon(addon, libraryDirs, options.environment);
  const libraries = LIBRARIES.map((library) => join(libDir, library));
  const portable = (path: string) => (isWithin(root, path) ? relative(root, path) : path);
  const content: BuildRecord = {
    addon: portable(addon),
    sha256: await sha256Of(addon),
    tensorflowVersion,
    libraries: await Promise.all(
      libraries.map(async (path) => ({ path: portable(path), bytes: (await stat(path)).size })),
    ),
    libraryDirs: libraryDirs.map(portable),
    products,
  };
  const temporary = `${recordFile}.${process.pid}`;
  await writeFile(temporary, JSON.stringify(content, null, 2));
  await rename(temporary, recordFile);
  options.log(`TensorFlow ${content.tensorflowVersion} is ready in ${dirname(addon)}`);
}

function isWithin(root: string, path: string): boolean {
  return path.startsWith(`${root}/`);
}

function sizeOf(path: string): Promise<number | null> {
  return stat(path).then(
    (file) => file.size,
    () => null,
  );
}

function shortHash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 12);
}
