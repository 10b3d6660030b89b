/** What the builder decides and the commands it would run, as pure functions. */
import { describe, expect, test } from 'vitest';
import { nativeEnvironment } from '../../../src/engine/contract/native.ts';
import { compileCommands } from '../../../src/engine/native/compile.ts';
import { downloadCommand } from '../../../src/engine/native/download.ts';
import { type Machine, unsupportedReason } from '../../../src/engine/native/machine.ts';
import { chooseProducts } from '../../../src/engine/native/products.ts';
import { chooseWheels, destinationOf, wheelFile, wheelPart } from '../../../src/engine/native/wheels.ts';

const machine: Machine = { platform: 'linux', arch: 'x64', glibc: '2.36', gpus: [] };
const cpu = chooseWheels(machine).wheels[0]!;
const cuda = chooseWheels({ ...machine, gpus: ['NVIDIA H100'] }).wheels;
const pip = { file: '/usr/bin/python3', args: ['-m', 'pip'] };

test.each<[string, Partial<Machine>, RegExp | null]>([
  ['Linux on x64', {}, null],
  ['Linux on arm64', { arch: 'arm64' }, null],
  ['the oldest glibc', { glibc: '2.27' }, null],
  ['an older glibc', { glibc: '2.9' }, /glibc 2\.27 or newer; this system has 2\.9/],
  ['musl', { glibc: null }, /GNU C library/],
  ['macOS', { platform: 'darwin', arch: 'arm64' }, /this is darwin on arm64/],
  ['another CPU', { arch: 'riscv64' }, /this is linux on riscv64/],
])('%s', (_, change, reason) => {
  const said = unsupportedReason({ ...machine, ...change });
  if (reason) expect(said).toMatch(reason);
  else expect(said).toBeNull();
});

describe('wheels', () => {
  test('one without a GPU, and the CUDA build with its libraries where there is one', () => {
    expect(chooseWheels(machine).wheels.map(wheelFile)).toEqual([
      'tensorflow_cpu-2.21.0-cp311-cp311-manylinux_2_27_x86_64.whl',
    ]);
    expect(cuda.map(wheelPart)).toEqual([
      'deps',
      'nvidia/cublas',
      'nvidia/cuda_cupti',
      'nvidia/cuda_nvcc',
      'nvidia/cuda_nvrtc',
      'nvidia/cuda_runtime',
      'nvidia/cudnn',
      'nvidia/cufft',
      'nvidia/curand',
      'nvidia/cusolver',
      'nvidia/cusparse',
      'nvidia/nccl',
      'nvidia/nvjitlink',
    ]);
    expect(wheelFile(cuda[0]!)).toBe('tensorflow-2.21.0-cp311-cp311-manylinux_2_27_x86_64.whl');
  });

  test('arm64 has a CPU build only, under the other name', () => {
    const { wheels } = chooseWheels({ arch: 'arm64', gpus: ['NVIDIA GH200'] });
    expect(wheels.map(wheelFile)).toEqual(['tensorflow-2.21.0-cp311-cp311-manylinux_2_27_aarch64.whl']);
  });

  test('sets of different builds are kept apart, and every file is pinned', () => {
    const sets = [machine, { arch: 'arm64', gpus: [] }, { arch: 'x64', gpus: ['a'] }].map(chooseWheels);
    expect(new Set(sets.map((set) => set.name)).size).toBe(3);
    const wheels = sets.flatMap((set) => set.wheels);
    for (const wheel of wheels) expect(wheel.sha256).toMatch(/^[0-9a-f]{64}$/);
    expect(new Set(wheels.map((wheel) => wheel.sha256)).size).toBe(wheels.length);
  });

  test('of TensorFlow the libraries and the headers are taken, of NVIDIA all but the headers', () => {
    expect(destinationOf(cpu, 'tensorflow/libtensorflow_cc.so.2')).toBe('lib/libtensorflow_cc.so.2');
    expect(destinationOf(cpu, 'tensorflow/include/tensorflow/c/c_api.h')).toBe(
      'include/tensorflow/c/c_api.h',
    );
    expect(destinationOf(cpu, 'tensorflow/include/xla/tsl/c/tsl_status.h')).toBe(
      'include/xla/tsl/c/tsl_status.h',
    );
    expect(destinationOf(cpu, 'tensorflow/include/external/grpc/grpc.h')).toBeNull();
    expect(destinationOf(cpu, 'tensorflow/python/pywrap.so')).toBeNull();
    const cublas = cuda[1]!;
    expect(destinationOf(cublas, 'nvidia/cublas/lib/libcublas.so.12')).toBe('lib/libcublas.so.12');
    expect(destinationOf(cublas, 'nvidia/cublas/include/cublas.h')).toBeNull();
    expect(destinationOf(cublas, 'nvidia_cublas_cu12-12.9.dist-info/RECORD')).toBeNull();
  });
});

test('pip is asked for exactly one file, whatever Python it runs on', () => {
  expect(downloadCommand(pip, cpu, '/cache/x')).toEqual({
    file: '/usr/bin/python3',
    args: [
      ...['-m', 'pip', 'download', 'tensorflow-cpu==2.21.0', '--dest', '/cache/x'],
      ...['--no-deps', '--only-binary=:all:', '--platform', 'manylinux_2_27_x86_64'],
      ...['--implementation', 'cp', '--python-version', '311', '--abi', 'cp311'],
      ...['--progress-bar', 'off', '--disable-pip-version-check', '--no-input', '--retries', '2'],
    ],
  });
  const runtime = downloadCommand(
    pip,
    cuda.find((wheel) => wheel.project === 'nvidia-cuda-runtime-cu12')!,
    '/x',
  );
  expect(runtime.args.join(' ')).toContain(
    '--platform manylinux2014_x86_64 --platform manylinux_2_17_x86_64 --implementation py --python-version 311 --abi none',
  );
});

test('the addon needs both libraries by name and is told where to find them, without their being read', () => {
  const source = { files: ['/b/one.cc', '/b/two.cc'], napiInclude: '/napi/include', key: 'k', contents: '' };
  const rpath = '$ORIGIN/../../deps/lib';
  const processor = process.arch === 'x64' ? '-march=native' : '-mcpu=native';
  const commands = compileCommands('/usr/bin/g++', source, { includeDir: '/tf/include' }, rpath, '/tmp/x');
  expect(commands.map(({ file, args }) => [file, ...args].join(' '))).toEqual([
    '/usr/bin/g++ -shared -Wl,-soname,libtensorflow_cc.so.2 -x c++ /dev/null -o /tmp/x/libtensorflow_cc.so.2',
    '/usr/bin/g++ -shared -Wl,-soname,libtensorflow_framework.so.2 -x c++ /dev/null -o /tmp/x/libtensorflow_framework.so.2',
    `/usr/bin/g++ -O3 -fno-math-errno -fno-trapping-math -Wno-psabi -pthread -std=c++17 ${processor} -fPIC -shared -DNAPI_VERSION=8 -I/napi/include -I/tf/include /b/one.cc /b/two.cc ` +
      '-L/tmp/x -Wl,--no-as-needed -l:libtensorflow_cc.so.2 -l:libtensorflow_framework.so.2 ' +
      '-Wl,-rpath,$ORIGIN/../../deps/lib -o /tmp/x/tfjs_binding.node',
  ]);
});

test('of the ways to multiply the first is taken, unless another is faster by more than 2 %', () => {
  const tiles = [8, 48, 393_216, 6, 64, 1_048_576];
  const speeds = [[100, 101], [100, 103], ...Array(6).fill([100, 50])].flat();
  const choices = chooseProducts(tiles, speeds);
  expect(choices.map(({ trials }) => trials.findIndex(({ chosen }) => chosen))).toEqual([
    0, 1, 0, 0, 0, 0, 0, 0,
  ]);
  expect(choices[1]!.trials[1]).toEqual({
    ...{ rows: 6, columns: 64, panelBytes: 1_048_576 },
    ...{ gigaflops: 103, chosen: true },
  });
  expect(chooseProducts([], []), 'on GPUs').toEqual([]);
});

describe('the environment of an engine child', () => {
  const addon = {
    available: true,
    path: '/a.node',
    tensorflowVersion: '2.21.0',
    gpus: ['NVIDIA H100'],
    products: [],
  } as const;

  test('names the NVIDIA libraries before what was there', () => {
    const libraryDirs = ['/n/cublas/lib', '/n/cudnn/lib'];
    const path = (inherited: Record<string, string>) =>
      nativeEnvironment({ ...addon, libraryDirs }, inherited).LD_LIBRARY_PATH;
    expect(path({})).toBe('/n/cublas/lib:/n/cudnn/lib');
    expect(path({ LD_LIBRARY_PATH: '/usr/local/lib' })).toBe('/n/cublas/lib:/n/cudnn/lib:/usr/local/lib');
  });

  test('keeps TensorFlow quiet, unless the operator wants to hear it', () => {
    const cpuAddon = { ...addon, gpus: [], libraryDirs: [] };
    expect(nativeEnvironment(cpuAddon, { LD_LIBRARY_PATH: '/x' })).toEqual({
      TF_CPP_MIN_LOG_LEVEL: '2',
      TF_ENABLE_ONEDNN_OPTS: '0',
      TF_NUM_INTEROP_THREADS: '1',
      GLIBC_TUNABLES: 'glibc.malloc.hugetlb=1:glibc.malloc.arena_max=1',
    });
    expect(nativeEnvironment(cpuAddon, { TF_CPP_MIN_LOG_LEVEL: '0' }).TF_CPP_MIN_LOG_LEVEL).toBe('0');
  });
});
