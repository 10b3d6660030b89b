/** Compiling tfjs-node's binding, together with our own kernels, against a TensorFlow. */
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { arch, cpus } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Command, type Environment, findOnPath } from './command.ts';
import { LIBRARIES, type Tensorflow } from './tensorflow.ts';
import { TFJS_NODE } from './tfjsNode.ts';

const require = createRequire(import.meta.url);
/** File name of the addon. */
export const ADDON = 'tfjs_binding.node';

/** The kernels of ours; the same distance from the sources and from what is built of them. */
const KERNELS = fileURLToPath(new URL('../../../kernels', import.meta.url));

/** For the processor that compiles, which is named in the key: a cache may be shared by machines of several kinds. */
const PROCESSOR = arch() === 'x64' ? '-march=native' : '-mcpu=native';

/** For any processor; vectors that one lacks are passed between inlined functions alone, so their ABI does not matter. */
export const KERNEL_FLAGS = [
  ...['-O3', '-fno-math-errno', '-fno-trapping-math', '-Wno-psabi', '-pthread', '-std=c++17'],
];

const SHARED = ['-fPIC', '-shared', '-DNAPI_VERSION=8'];

/** The addon's C++ files, the headers of Node's C interface, and a key that changes whenever they or the CPU do. */
export interface BindingSource {
  files: readonly string[];
  napiInclude: string;
  key: string;
  /** A key that does not depend on the CPU. */
  contents: string;
}

export async function readBindingSource(): Promise<BindingSource> {
  const directory = join(TFJS_NODE, 'binding');
  const napi = dirname(require.resolve('node-api-headers/package.json'));
  const { version } = require('node-api-headers/package.json');
  const contents = createHash('sha256')
    .update([...KERNEL_FLAGS, ...SHARED].join(' '))
    .update(version);
  const key = createHash('sha256')
    .update([...KERNEL_FLAGS, PROCESSOR, ...SHARED].join(' '))
    .update(cpus()[0]?.model ?? '')
    .update(version);
  const paths: string[] = [];
  for (const parent of [directory, KERNELS])
    for (const name of (await readdir(parent)).sort()) {
      paths.push(join(parent, name));
      const text = await readFile(join(parent, name));
      for (const hash of [key, contents]) hash.update(name).update(text);
    }
  return {
    files: paths.filter((path) => path.endsWith('.cc')),
    napiInclude: join(napi, 'include'),
    contents: contents.digest('hex'),
    key: key.digest('hex').slice(0, 12),
  };
}

/** @throws Error saying what to install when there is no C++ compiler. */
export async function findCompiler(environment: Environment): Promise<string> {
  for (const name of [environment.CXX, 'g++', 'c++', 'clang++']) {
    const path = name ? await findOnPath(name, environment) : null;
    if (path) return path;
  }
  throw new Error(
    'The native engine cannot be compiled, for there is no C++ compiler: install g++ or clang++.',
  );
}

/**
 * The compiler calls that make `<directory>/tfjs_binding.node`. It is linked against empty stand-ins with the names of
 * TensorFlow's libraries: reading the 0.8 GB of the real ones takes the linker ten seconds, and what they lack shows
 * when the addon is loaded.
 * @param processor The compiler's flag for the processor to compile for.
 * @param rpath Where the addon looks for TensorFlow when it is loaded; `$ORIGIN` is the addon's own directory.
 */
export function compileCommands(
  compiler: string,
  source: BindingSource,
  tensorflow: Pick<Tensorflow, 'includeDir'>,
  rpath: string,
  directory: string,
  processor = PROCESSOR,
): Command[] {
  const standIns = LIBRARIES.map((library) => ({
    file: compiler,
    args: ['-shared', `-Wl,-soname,${library}`, '-x', 'c++', '/dev/null', '-o', join(directory, library)],
  }));
  const includes = [source.napiInclude, tensorflow.includeDir].map((path) => `-I${path}`);
  const libraries = LIBRARIES.map((library) => `-l:${library}`);
  const link = [`-L${directory}`, '-Wl,--no-as-needed', ...libraries, `-Wl,-rpath,${rpath}`];
  const args = [
    ...KERNEL_FLAGS,
    processor,
    ...SHARED,
    ...includes,
    ...source.files,
    ...link,
    '-o',
    join(directory, ADDON),
  ];
  return [...standIns, { file: compiler, args }];
}
