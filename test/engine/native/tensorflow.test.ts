/** Unpacking wheels, with small ones from a pip of our own. */
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Wheel } from '../../../src/engine/native/pins.ts';
import { readTensorflowDir, unpackWheels } from '../../../src/engine/native/tensorflow.ts';
import { wheelFile } from '../../../src/engine/native/wheels.ts';
import { type Programs, writePrograms, zipOf } from './programs.ts';

const tensorflow = zipOf({
  'tensorflow/libtensorflow_cc.so.2': { content: 'cc', mode: 0o755 },
  'tensorflow/libtensorflow_framework.so.2': { content: 'framework' },
  'tensorflow/include/tensorflow/c/eager/c_api.h': { content: '// api' },
  'tensorflow/include/external/other.h': { content: '// not needed' },
  'tensorflow/python/big.py': { content: 'not needed' },
});
const cublas = zipOf({
  'nvidia/cublas/lib/libcublas.so.12': { content: 'blas' },
  'nvidia/cublas/include/cublas.h': { content: '// not needed' },
});

const wheelOf = (project: string, archive: Buffer): Wheel => ({
  project,
  version: '1',
  platform: 'manylinux_2_27_x86_64',
  python: 'py3-none',
  sha256: createHash('sha256').update(archive).digest('hex'),
  bytes: archive.length,
  unpackedBytes: 30,
});
const set = {
  name: 'tf',
  wheels: [wheelOf('tensorflow', tensorflow), wheelOf('nvidia-cublas-cu12', cublas)],
};

let root: string;
let pip: Programs;
const lines: string[] = [];

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'alignsae-native-'));
  const index = join(root, 'index');
  await mkdir(index);
  const names = set.wheels.map(wheelFile);
  await writeFile(join(index, names[0]!), tensorflow);
  await writeFile(join(index, names[1]!), cublas);
  pip = await writePrograms({
    pip3: `
      if (args[0] === 'download') {
        const name = ${JSON.stringify(names)}.find((n) => n.startsWith(args[1].split('==')[0].replaceAll('-', '_')));
        fs.copyFileSync(${JSON.stringify(index)} + '/' + name, out('--dest') + '/' + name);
      }`,
  });
  lines.length = 0;
});
afterEach(async () => {
  await rm(root, { recursive: true });
  await rm(pip.directory, { recursive: true });
});

const unpack = () => unpackWheels(set, root, { PATH: pip.directory }, (line) => lines.push(line));
const downloads = async () => (await pip.calls()).filter((call) => call.includes('download')).length;

describe('unpacking the wheels of a set', () => {
  test('keeps what is needed and nothing else', async () => {
    const found = await unpack();
    expect(found).toEqual({
      libDir: join(root, 'tf/deps/lib'),
      includeDir: join(root, 'tf/deps/include'),
      libraryDirs: [join(root, 'tf/nvidia/cublas/lib')],
    });
    const files = await readdir(join(root, 'tf'), { recursive: true, withFileTypes: true });
    const names = files.filter((file) => file.isFile()).map((file) => file.name);
    expect(names.sort()).toEqual([
      'c_api.h',
      'libcublas.so.12',
      'libtensorflow_cc.so.2',
      'libtensorflow_framework.so.2',
    ]);
    expect(await readFile(join(found.libDir, 'libtensorflow_cc.so.2'), 'utf8')).toBe('cc');
    expect((await stat(join(found.libDir, 'libtensorflow_cc.so.2'))).mode & 0o777).toBe(0o755);
    expect((await stat(join(root, 'tf/deps'))).mode & 0o055, 'other users may read it').toBe(0o055);
    expect(await readdir(join(root, 'downloads')), 'wheels are not kept').toEqual([]);
    expect(lines[0]).toMatch(/^downloading tensorflow-1-py3-none-manylinux_2_27_x86_64.whl \(0 MB\) with /);
  });

  test('does nothing the second time', async () => {
    await unpack();
    lines.length = 0;
    const before = await downloads();
    await unpack();
    expect(lines).toEqual([]);
    expect(await downloads()).toBe(before);
  });

  test('goes on after the part that was finished', async () => {
    await unpack();
    await rm(join(root, 'tf/nvidia/cublas'), { recursive: true });
    await unpack();
    expect(await downloads()).toBe(3);
    expect(await readFile(join(root, 'tf/nvidia/cublas/lib/libcublas.so.12'), 'utf8')).toBe('blas');
  });

  test('uses a wheel that is there, and gets a damaged one again', async () => {
    await mkdir(join(root, 'downloads'));
    await writeFile(join(root, 'downloads', wheelFile(set.wheels[0]!)), tensorflow);
    await writeFile(join(root, 'downloads', wheelFile(set.wheels[1]!)), cublas.subarray(0, 40));
    await unpack();
    expect(await downloads()).toBe(1);
    expect(lines.some((line) => /nvidia_cublas.* is damaged/.test(line))).toBe(true);
  });

  test('keeps nothing of a file with another hash', async () => {
    const wheels = [{ ...set.wheels[0]!, sha256: '0'.repeat(64) }];
    const unpacked = unpackWheels({ name: 'tf', wheels }, root, { PATH: pip.directory }, () => undefined);
    await expect(unpacked).rejects.toThrow(/has SHA-256 [0-9a-f]{64}, expected 0{64}/);
    expect(await readdir(join(root, 'downloads'))).toEqual([]);
    expect(await readdir(join(root, 'unfinished'))).toEqual([]);
  });

  test('refuses a disk that is too small, in figures', async () => {
    const wheels = [{ ...set.wheels[0]!, unpackedBytes: 5e18 }];
    const unpacked = unpackWheels({ name: 'tf', wheels }, root, { PATH: pip.directory }, () => undefined);
    await expect(unpacked).rejects.toThrow(/needs 5000000000.0 GB in .* GB are free/);
    expect(await pip.calls()).toEqual([]);
  });
});

test("a Python's tensorflow is found with the NVIDIA packages beside it", async () => {
  const site = join(root, 'site-packages');
  await mkdir(join(site, 'tensorflow/include/tensorflow/c/eager'), { recursive: true });
  await mkdir(join(site, 'nvidia/cudnn/lib'), { recursive: true });
  await writeFile(join(site, 'tensorflow/include/tensorflow/c/eager/c_api.h'), '');
  await writeFile(join(site, 'tensorflow/libtensorflow_cc.so.2'), '');
  await expect(readTensorflowDir(join(site, 'tensorflow'))).rejects.toThrow(
    /is not a whole TensorFlow: .*libtensorflow_framework\.so\.2 is missing/,
  );
  await writeFile(join(site, 'tensorflow/libtensorflow_framework.so.2'), '');
  expect(await readTensorflowDir(join(site, 'tensorflow'))).toEqual({
    libDir: join(site, 'tensorflow'),
    includeDir: join(site, 'tensorflow/include'),
    libraryDirs: [join(site, 'nvidia/cudnn/lib')],
  });
});
