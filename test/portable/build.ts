/**
 * Builds what the portable tests run with: a program of the kernels for each target, and an addon whose kernels hand
 * their work to such a program.
 */
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rename } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readConfig } from '../../src/config.ts';
import { type NativeAddon, nativeEnvironment } from '../../src/engine/contract/native.ts';
import { prepareNative } from '../../src/engine/native/build.ts';
import { type Command, type Environment, execute, findOnPath } from '../../src/engine/native/command.ts';
import {
  ADDON,
  type BindingSource,
  compileCommands,
  findCompiler,
  KERNEL_FLAGS,
  readBindingSource,
} from '../../src/engine/native/compile.ts';
import { exists, inTemporaryDir } from '../../src/engine/native/files.ts';
import { inspectMachine } from '../../src/engine/native/machine.ts';
import {
  findPythonTensorflow,
  readTensorflowDir,
  type Tensorflow,
  unpackWheels,
} from '../../src/engine/native/tensorflow.ts';
import { chooseWheels } from '../../src/engine/native/wheels.ts';
import type { Target } from './targets.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    /** What the target's processor has: arm64, AVX, AVX2, AVX-512. */
    target: readonly number[];
  }
}

const HERE = dirname(fileURLToPath(import.meta.url));
const own = (name: string) => join(HERE, name);
const log = (message: string) => console.log(`portable: ${message}`);

export interface Portable {
  target: Target;
  native: NativeAddon;
  /** Of the processes that load the addon. */
  environment: Record<string, string>;
}

/** @throws Error that says which package is missing: a target that cannot be tested here fails. */
export async function buildPortable(targets: readonly Target[]): Promise<Portable[]> {
  const { cacheDir, tensorflowDir } = readConfig();
  const environment = process.env;
  const native = await prepareNative({ cacheDir, tensorflowDir, environment, log });
  if (!native.available) throw new Error(`the native engine is not available: ${native.reason}`);
  const root = join(resolve(cacheDir), 'native');
  const tensorflow = await findTensorflow(root, tensorflowDir);
  const source = await readSource();
  const directory = join(root, 'portable', source.key);
  await mkdir(directory, { recursive: true });
  const path = await buildAddon(directory, root, source, tensorflow);
  const addon: NativeAddon = { ...native, path };
  const built: Portable[] = [];
  for (const target of targets) {
    const command = [
      await findEmulator(target),
      '-cpu',
      target.processor,
      await buildProgram(target, directory, root, source, tensorflow),
    ];
    built.push({
      target,
      native: addon,
      environment: { ...nativeEnvironment(addon, environment), KERNELS_COMMAND: command.join('\n') },
    });
  }
  return built;
}

async function findTensorflow(root: string, given: string | null): Promise<Tensorflow> {
  if (given) return readTensorflowDir(resolve(given));
  const machine = await inspectMachine(process.env);
  return (
    (await findPythonTensorflow(machine, process.env)) ??
    unpackWheels(chooseWheels(machine), root, process.env, log)
  );
}

/** The addon's sources, the key of which covers the files beside this one as well. */
async function readSource(): Promise<BindingSource> {
  const source = await readBindingSource();
  const hash = createHash('sha256').update(source.key);
  for (const name of (await readdir(HERE)).sort()) hash.update(await readFile(own(name)));
  return { ...source, key: hash.digest('hex').slice(0, 12) };
}

async function buildAddon(
  directory: string,
  root: string,
  source: BindingSource,
  tensorflow: Tensorflow,
): Promise<string> {
  const path = join(directory, ADDON);
  if (await exists(path)) return path;
  const compiler = await findCompiler(process.env);
  const isOp = (file: string) => basename(file) === 'op.cc';
  const files = [...source.files.filter((file) => !isOp(file)), own('remote.cc'), own('target.cc')];
  log('compiling the addon that has its kernels elsewhere');
  await inTemporaryDir(root, async (temporary) => {
    const commands = compileCommands(
      compiler,
      { ...source, files },
      tensorflow,
      tensorflow.libDir,
      temporary,
    );
    for (const command of commands) await execute(command, process.env);
    await rename(join(temporary, ADDON), path);
  });
  return path;
}

/** The kernels, of which op.cc, TensorFlow's own side, is compiled but has nothing to be linked with. */
async function buildProgram(
  target: Target,
  directory: string,
  root: string,
  source: BindingSource,
  tensorflow: Tensorflow,
): Promise<string> {
  const path = join(directory, target.name.replaceAll(' ', '-'));
  if (await exists(path)) return path;
  const compiler = await find(target.compiler, process.env, `g++-${target.compiler.split('-')[0]}-linux-gnu`);
  const kernels = source.files.filter((file) => basename(dirname(file)) === 'kernels');
  const linked = kernels.filter((file) => basename(file) !== 'op.cc');
  const op = kernels.filter((file) => basename(file) === 'op.cc');
  log(`compiling the kernels for ${target.name}`);
  await inTemporaryDir(root, async (temporary) => {
    const flags = [...KERNEL_FLAGS, ...target.flags, '-Werror', `-I${tensorflow.includeDir}`];
    const program = join(temporary, 'kernels');
    const commands: Command[] = [
      { file: compiler, args: [...flags, '-c', ...op, '-o', join(temporary, 'op.o')] },
      {
        file: compiler,
        args: [...flags, '-static', ...linked, own('serve.cc'), own('target.cc'), '-o', program],
      },
    ];
    for (const command of commands) await execute(command, process.env);
    await rename(program, path);
  });
  return path;
}

async function findEmulator({ emulator }: Target): Promise<string> {
  const dynamic = await findOnPath(`qemu-${emulator}`, process.env);
  return dynamic ?? find(`qemu-${emulator}-static`, process.env, 'qemu-user-static');
}

async function find(name: string, environment: Environment, debian: string): Promise<string> {
  const path = await findOnPath(name, environment);
  if (!path) throw new Error(`there is no ${name} on the PATH: apt-get install ${debian}`);
  return path;
}
