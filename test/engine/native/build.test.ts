/** The builder from its entry, with stand-ins for the compiler and pip. */
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, inject, test } from 'vitest';
import { productShape } from '../../../src/engine/contract/products.ts';
import { prepareNative } from '../../../src/engine/native/build.ts';
import { inspectMachine } from '../../../src/engine/native/machine.ts';
import { chooseWheels, wheelFile } from '../../../src/engine/native/wheels.ts';
import { type Programs, writePrograms } from './programs.ts';

const native = inject('native');
let cacheDir: string;
const programs: Programs[] = [];
const lines: string[] = [];

beforeEach(async () => {
  cacheDir = await mkdtemp(join(tmpdir(), 'alignsae-cache-'));
  lines.length = 0;
});
afterEach(async () => {
  for (const directory of [cacheDir, ...programs.splice(0).map((p) => p.directory)]) {
    await rm(directory, { recursive: true });
  }
});

async function write(bodies: Record<string, string>): Promise<Programs> {
  const written = await writePrograms(bodies);
  programs.push(written);
  return written;
}

function prepare(environment: Record<string, string>, tensorflowDir: string | null = null) {
  return prepareNative({ cacheDir, tensorflowDir, environment, log: (line) => lines.push(line) });
}

/** What `bodies` as the only programs lead to, which must be a reason. */
async function reasonWith(bodies: Record<string, string>, tensorflowDir: string | null = null) {
  const { directory } = await write(bodies);
  const addon = await prepare({ PATH: directory }, tensorflowDir);
  return addon.available ? 'available' : addon.reason;
}

describe('what stands in the way becomes the reason', () => {
  const compiler = { 'g++': '' };

  test('no compiler', async () => {
    expect(await reasonWith({})).toMatch(/no C\+\+ compiler: install g\+\+/);
  });

  test('no pip: none at all, or a Python without the module', async () => {
    expect(await reasonWith(compiler)).toMatch(/no pip: install one/);
    expect(await reasonWith({ ...compiler, python3: `process.exit(args[0] === '-m' ? 1 : 0)` })).toMatch(
      /no pip/,
    );
  });

  test('a download that fails, in pip’s own words', async () => {
    const pip = `if (args[0] === 'download') { console.error('ERROR: No matching distribution'); process.exit(1); }`;
    expect(await reasonWith({ ...compiler, pip })).toMatch(/^pip failed: ERROR: No matching distribution/);
    expect(await readdir(join(cacheDir, 'native/downloads'))).toEqual([]);
  });

  test('a download that is not what was pinned', async () => {
    const [wheel] = chooseWheels({ arch: process.arch, gpus: [] }).wheels;
    const pip = `if (args[0] === 'download') fs.writeFileSync(out('--dest') + '/${wheelFile(wheel!)}', 'junk');`;
    const reason = await reasonWith({ ...compiler, pip });
    expect(reason).toMatch(new RegExp(`has SHA-256 [0-9a-f]{64}, expected ${wheel!.sha256}`));
    expect(await readdir(join(cacheDir, 'native/downloads'))).toEqual([]);
  });

  test('TENSORFLOW_DIR that is not a whole TensorFlow', async () => {
    const directory = join(cacheDir, 'given');
    await mkdir(directory);
    await writeFile(join(directory, 'libtensorflow_cc.so.2'), '');
    expect(await reasonWith(compiler, directory)).toMatch(
      /given is not a whole TensorFlow: .*libtensorflow_framework\.so\.2 is missing/,
    );
  });

  test('a compiler that fails, or makes something that does not load', async () => {
    const given = await fakeTensorflow();
    const failing = { 'g++': `console.error('a.cc:1:1: error: no such thing'); process.exit(1)` };
    expect(await reasonWith(failing, given)).toMatch(/^g\+\+ failed: a\.cc:1:1: error: no such thing/);
    expect(await reasonWith({ 'g++': `fs.writeFileSync(out('-o'), 'junk')` }, given)).toMatch(
      /too short|invalid/,
    );
    expect(
      lines.some((line) => line.includes('is ready')),
      'nothing is recorded as finished',
    ).toBe(false);
  });

  async function fakeTensorflow(): Promise<string> {
    const directory = join(cacheDir, 'whole');
    await mkdir(join(directory, 'include/tensorflow/c/eager'), { recursive: true });
    const files = [
      'libtensorflow_cc.so.2',
      'libtensorflow_framework.so.2',
      'include/tensorflow/c/eager/c_api.h',
    ];
    for (const file of files) await writeFile(join(directory, file), '');
    return directory;
  }
});

test('a TensorFlow of Python that does not serve is passed over for the pinned wheel', async () => {
  const site = join(cacheDir, 'site/tensorflow');
  await mkdir(site, { recursive: true });
  const python3 = `if (args[0] === '-c') console.log(${JSON.stringify(site)}); else process.exit(1);`;
  expect(await reasonWith({ 'g++': '', python3 })).toMatch(/no pip/);
});

test('GPUs are those that nvidia-smi names; none when it fails', async () => {
  const smi = await write({ 'nvidia-smi': `console.log('NVIDIA H100 80GB HBM3\\nNVIDIA L4')` });
  expect((await inspectMachine({ PATH: smi.directory })).gpus).toEqual([
    'NVIDIA H100 80GB HBM3',
    'NVIDIA L4',
  ]);
  const broken = await write({ 'nvidia-smi': `process.exit(9)` });
  expect((await inspectMachine({ PATH: broken.directory })).gpus).toEqual([]);
});

// Instead of compiling, the suite's own addon, which is told where TensorFlow is.
const path = native.available ? native.path : '';
const tensorflowDir = resolve(dirname(path), '../../deps');

describe.skipIf(!existsSync(tensorflowDir))('with a TensorFlow given', () => {
  const environment = async () => {
    const compiler = await write({ 'g++': `fs.copyFileSync(${JSON.stringify(path)}, out('-o'));` });
    return { compiler, variables: { PATH: compiler.directory, LD_LIBRARY_PATH: join(tensorflowDir, 'lib') } };
  };

  const compilations = async (compiler: Programs) =>
    (await compiler.calls()).filter((call) => call.includes('tfjs_backend.cc')).length;

  test('is built once, however many ask, and never again', async () => {
    const { compiler, variables } = await environment();
    const [first, second] = await Promise.all([
      prepare(variables, tensorflowDir),
      prepare(variables, tensorflowDir),
    ]);
    expect(first).toMatchObject({ available: true, tensorflowVersion: '2.21.0', libraryDirs: [] });
    expect(second).toEqual(first);
    if (!first.available) throw new Error(first.reason);
    expect(first.products.map(({ shape }) => shape)).toEqual(productShape.options);
    for (const { trials } of first.products) {
      expect(trials.filter(({ chosen }) => chosen)).toHaveLength(1);
      for (const { gigaflops } of trials) expect(gigaflops).toBeGreaterThan(0.1);
    }
    expect(lines.filter((line) => line.startsWith('waiting for another process'))).toHaveLength(1);
    lines.length = 0;
    expect(await prepare({ PATH: '/nowhere' }, tensorflowDir)).toEqual(first);
    expect(lines).toEqual([]);
    expect(await compilations(compiler)).toBe(1);
  });

  test('is built again when the addon is damaged or a library is no longer what it was', async () => {
    const { compiler, variables } = await environment();
    const first = await prepare(variables, tensorflowDir);
    if (!first.available) throw new Error(first.reason);
    // Measured again, so that speeds are others.
    const rebuilt = { ...first, products: expect.any(Array) };
    await truncate(first.path, 1000);
    expect(await prepare(variables, tensorflowDir)).toEqual(rebuilt);
    const [record] = (await readdir(join(cacheDir, 'native'))).filter((name) => name.endsWith('.json'));
    const file = join(cacheDir, 'native', record!);
    await writeFile(file, (await readFile(file, 'utf8')).replace(/"bytes": \d+/, '"bytes": 1'));
    expect(await prepare(variables, tensorflowDir)).toEqual(rebuilt);
    expect(await compilations(compiler)).toBe(3);
  });

  test('is compiled by the real compiler, and nothing of an interrupted build is left', async () => {
    await mkdir(join(cacheDir, 'native/unfinished/part-abc'), { recursive: true });
    const addon = await prepare(process.env as Record<string, string>, tensorflowDir);
    expect(addon).toMatchObject({ available: true, tensorflowVersion: '2.21.0' });
    expect(await readdir(join(cacheDir, 'native/unfinished'))).toEqual([]);
  });
});
