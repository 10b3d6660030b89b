/** SAEs saved by SAELens compute here what they compute there. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { deflateRawSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadSae } from '../../../src/engine/sae/sae.ts';
import { openFiles } from '../../../src/formats/huggingFace/files.ts';
import { openSaeLens } from '../../../src/formats/sae/exportSaeLens.ts';
import { openForeignSae } from '../../../src/formats/sae/foreign.ts';
import { importSae } from '../../../src/formats/sae/importSae.ts';
import type { ImportHints } from '../../../src/formats/sae/saeFile.ts';
import { readSafetensors, writeChunks, writeSafetensors } from '../../../src/formats/safetensors.ts';
import { loadTestBackend } from '../../helpers/engine.ts';

const FIXTURES = fileURLToPath(new URL('../../fixtures/saes', import.meta.url));
/** Of the largest of the values that are compared. */
const TOLERANCE = 1e-5;

function foldersIn(folder: string): string[] {
  const entries = readdirSync(folder);
  if (entries.includes('expected.json')) return [relative(FIXTURES, folder)];
  const below = entries.map((name) => join(folder, name)).filter((path) => statSync(path).isDirectory());
  return below.flatMap(foldersIn);
}

const FOLDERS = foldersIn(FIXTURES).sort();

let dir: string;
beforeAll(async () => {
  await loadTestBackend();
  dir = await mkdtemp(join(tmpdir(), 'alignsae-saes-'));
});
afterAll(() => rm(dir, { recursive: true }));

/** Opens what lies in a folder; `place` is what it is called. */
async function open(folder: string, hints: Partial<ImportHints> = {}, place = folder) {
  const files = openFiles(async (name) => {
    const path = join(folder, name);
    return statSync(path, { throwIfNoEntry: false }) ? path : null;
  });
  try {
    const imported = importSae(
      await openForeignSae(files, place, { layer: null, inputScale: null, ...hints }),
    );
    const file = await writeChunks(join(dir, crypto.randomUUID()), imported.weights.chunks());
    expect(file.bytes).toBe(imported.weights.bytes);
    return { ...imported, path: file.path };
  } finally {
    await files.close();
  }
}

/** A copy of a fixture in which something is otherwise. */
async function copyOf(name: string): Promise<string> {
  const folder = join(dir, crypto.randomUUID());
  await cp(join(FIXTURES, name), folder, { recursive: true });
  return folder;
}

async function withConfig(name: string, changes: Record<string, unknown>): Promise<string> {
  const folder = await copyOf(name);
  const path = join(folder, 'cfg.json');
  await writeFile(path, JSON.stringify({ ...JSON.parse(await readFile(path, 'utf8')), ...changes }));
  return folder;
}

type Tensors = Awaited<ReturnType<typeof readSafetensors>>['arrays'];

async function withTensors(name: string, change: (tensors: Tensors) => void): Promise<string> {
  const folder = await copyOf(name);
  const path = join(folder, 'sae_weights.safetensors');
  const { arrays } = await readSafetensors(path);
  change(arrays);
  await writeSafetensors(path, arrays);
  return folder;
}

const largest = (values: Iterable<number>) => Math.max(...[...values].map(Math.abs));

describe('an SAE of SAELens or Gemma Scope', () => {
  test('there is one of every architecture', () => {
    expect(FOLDERS.length).toBeGreaterThanOrEqual(14);
  });

  test.each(FOLDERS)('%s encodes and decodes as there', async (name) => {
    const { h, latents, decoded, layer, inputScale } = JSON.parse(
      readFileSync(join(FIXTURES, name, 'expected.json'), 'utf8'),
    );
    const opened = await open(join(FIXTURES, name), { inputScale: inputScale ?? null }, name);
    expect(opened).toMatchObject({ layer, config: { dModel: 8, nFree: 24, nConcepts: 0 } });
    const sae = await loadSae(opened.path);
    try {
      const raw = Float32Array.from(h.flat());
      const [ours, rebuilt] = [sae.latents(raw), sae.reconstruct(raw)];
      const [theirs, expected] = [latents.flat() as number[], decoded.flat() as number[]];
      expect(theirs.filter((value) => value !== 0).length).toBeGreaterThan(5);
      expect(largest(ours.map((value, i) => value - theirs[i]!)) / largest(theirs)).toBeLessThan(TOLERANCE);
      expect(largest(rebuilt.map((value, i) => value - expected[i]!)) / largest(expected)).toBeLessThan(
        TOLERANCE,
      );
      expect([...ours].map((value) => value !== 0)).toEqual(theirs.map((value) => value !== 0));
    } finally {
      sae.dispose();
    }
  });
});

test.each(FOLDERS)('%s goes out to SAELens and comes in again as it was', async (name) => {
  const { inputScale } = JSON.parse(readFileSync(join(FIXTURES, name, 'expected.json'), 'utf8'));
  const opened = await open(join(FIXTURES, name), { inputScale: inputScale ?? null }, name);
  const files = (await openSaeLens(opened.path))!;
  const folder = join(dir, crypto.randomUUID());
  await mkdir(folder);
  files.cfg.metadata.hook_name =
    opened.layer < 0 ? 'blocks.0.hook_resid_pre' : `blocks.${opened.layer}.hook_resid_post`;
  await writeFile(join(folder, 'cfg.json'), JSON.stringify(files.cfg));
  await writeChunks(join(folder, 'sae_weights.safetensors'), files.weights.chunks());
  const again = await open(folder);
  expect(again.layer).toBe(opened.layer);
  const [before, after] = [await loadSae(opened.path), await loadSae(again.path)];
  const h = Float32Array.from({ length: 16 * 8 }, (_, i) => 2 * Math.sin(i * i));
  const [z, ours] = [before.latents(h), after.latents(h)];
  expect(z.some((value) => value !== 0)).toBe(true);
  expect(largest(ours.map((value, i) => value - z[i]!)) / largest(z)).toBeLessThan(TOLERANCE);
  const rebuilt = before.reconstruct(h);
  expect(
    largest(after.reconstruct(h).map((value, i) => value - rebuilt[i]!)) / largest(rebuilt),
  ).toBeLessThan(TOLERANCE);
  before.dispose();
  after.dispose();
});

describe('what is not computed here is refused by its name', () => {
  const inConfig: [string, Record<string, unknown>, string][] = [
    ['an architecture', { architecture: 'matching_pursuit' }, 'architecture is matching_pursuit'],
    ['normalisation by row', { normalize_activations: 'layer_norm' }, 'normalize_activations is layer_norm'],
    ['heads', { reshape_activations: 'hook_z' }, 'reshape_activations is hook_z'],
    [
      'a hook',
      { metadata: { sae_lens_version: '6.0.0', hook_name: 'blocks.1.hook_mlp_out' } },
      'blocks.1.hook_mlp_out',
    ],
    ['fine-tuned scaling', { finetuning_scaling_factor: true }, 'finetuning_scaling_factor is true'],
    ['no size', { d_sae: 1e12 }, 'd_sae is 1000000000000'],
    ['a size of text', { d_in: '8' }, 'd_in is 8'],
    ['an old activation', { metadata: {}, activation_fn_str: 'tanh-relu' }, 'activation_fn is tanh-relu'],
  ];
  test.each(inConfig)('%s', async (_what, changes, message) => {
    const folder = await withConfig('standard', changes);
    await expect(open(folder)).rejects.toMatchObject({
      code: 'INVALID_INPUT',
      message: expect.stringContaining(message),
    });
  });

  test('a scale that no file says must be given', async () => {
    await expect(open(join(FIXTURES, 'scaled'))).rejects.toMatchObject({ path: ['inputScale'] });
  });

  test('a layer that no file says must be given, and must not contradict', async () => {
    const npz = join(FIXTURES, 'gemma-scope/stored/layer_0/width_24');
    await expect(open(npz, {}, 'params')).rejects.toMatchObject({ path: ['layer'] });
    expect((await open(npz, { layer: 1 }, 'params')).layer).toBe(1);
    await expect(open(npz, { layer: 1 }, 'x/layer_0/y')).rejects.toMatchObject({ path: ['layer'] });
    await expect(open(npz, {}, 'google/gemma-scope-2b-pt-mlp/layer_0')).rejects.toMatchObject({
      path: ['hook_name'],
    });
  });

  const inTensors: [string, (tensors: Tensors) => void, string][] = [
    [
      'a missing tensor',
      (tensors) => {
        delete tensors.b_dec;
      },
      'has no b_dec',
    ],
    [
      'another one',
      (tensors) => {
        tensors.extra = tensors.b_dec!;
      },
      'extra is not a tensor',
    ],
    [
      'another shape',
      (tensors) => {
        tensors.W_dec!.shape = [8, 24];
      },
      'W_dec has the shape [8,24]; expected is [24,8]',
    ],
    [
      'NaN',
      (tensors) => {
        tensors.W_enc!.data[3] = Number.NaN;
      },
      'W_enc has the value NaN at element 3',
    ],
    [
      'infinity',
      (tensors) => {
        tensors.b_enc!.data[3] = Infinity;
      },
      'b_enc has the value Infinity at element 3',
    ],
  ];
  test.each(inTensors)('%s', async (_what, change, message) => {
    const folder = await withTensors('standard', change);
    await expect(open(folder)).rejects.toMatchObject({
      code: 'INVALID_INPUT',
      message: expect.stringContaining(message),
    });
  });

  test('a directory without either', async () => {
    await expect(open(dir)).rejects.toMatchObject({ message: expect.stringContaining('neither cfg.json') });
    const folder = await copyOf('standard');
    await rm(join(folder, 'sae_weights.safetensors'));
    await expect(open(folder)).rejects.toMatchObject({
      message: expect.stringContaining('no sae_weights.safetensors'),
    });
  });
});

describe('a hostile .npz is refused', () => {
  const hostile: [string, () => Buffer, RegExp][] = [
    ['not a zip', () => Buffer.from('x'.repeat(100)), /not a readable \.npz/],
    ['empty', () => Buffer.alloc(0), /not a readable \.npz/],
    ['cut short', () => npz({ W_enc: npy([8, 24]) }).subarray(0, 60), /not a readable \.npz/],
    ['an object array', () => npz({ W_enc: npy([8, 24], { descr: '|O' }) }), /is \|O; supported are/],
    ['column by column', () => npz({ W_enc: npy([8, 24], { fortran: 'True' }) }), /fortran_order/],
    [
      'a vast shape',
      () => npz({ W_enc: npy([1e9, 1e9], { data: Buffer.alloc(16) }) }),
      /needs 4000000000000000000 bytes/,
    ],
    ['a vast header', () => npz({ W_enc: npy([8, 24], { header: 60_000 }) }), /header claims/],
    ['a bomb', () => npz({ W_enc: npy([8, 24]) }, { claims: 10 }), /not a readable \.npz|needs/],
    ['twice one name', () => npz({ W_enc: npy([8, 24]), 'W_enc.npy': npy([8, 24]) }), /twice/],
    ['no array', () => npz({ W_enc: Buffer.from('hello') }), /not an \.npy file|ends within/],
    [
      'too many',
      () => npz(Object.fromEntries(Array.from({ length: 70 }, (_, i) => [`a${i}`, npy([1])]))),
      /more than 64/,
    ],
  ];
  test.each(hostile)('%s', async (_what, make, message) => {
    const folder = join(dir, crypto.randomUUID());
    await cp(join(FIXTURES, 'gemma-scope/stored/layer_0/width_24'), folder, { recursive: true });
    await writeFile(join(folder, 'params.npz'), make());
    await expect(open(folder, { layer: 0 }, 'params')).rejects.toMatchObject({
      code: 'INVALID_INPUT',
      message: expect.stringMatching(message),
    });
  });
});

/** A `.npy` file of zeros. */
function npy(
  shape: readonly number[],
  {
    descr = '<f4',
    fortran = 'False',
    header = 0,
    data,
  }: { descr?: string; fortran?: string; header?: number; data?: Buffer } = {},
): Buffer {
  const text =
    `{'descr': '${descr}', 'fortran_order': ${fortran}, 'shape': (${shape.join(', ')},), }\n`.padEnd(header);
  const head = Buffer.alloc(10);
  head.write('\x93NUMPY\x01\x00', 'latin1');
  head.writeUInt16LE(text.length, 8);
  const values = data ?? Buffer.alloc(4 * shape.reduce((a, b) => a * b, 1));
  return Buffer.concat([head, Buffer.from(text), values]);
}

/** A zip archive, deflated; `claims` is what it says each file's size is. */
function npz(files: Record<string, Buffer>, { claims }: { claims?: number } = {}): Buffer {
  const locals: Buffer[] = [];
  const central: Buffer[] = [];
  let offset = 0;
  for (const [name, content] of Object.entries(files)) {
    const packed = deflateRawSync(content);
    const file = Buffer.from(name.endsWith('.npy') ? name : `${name}.npy`);
    const common = Buffer.alloc(26);
    common.writeUInt16LE(20, 0);
    common.writeUInt16LE(8, 4);
    common.writeUInt32LE(packed.length, 14);
    common.writeUInt32LE(claims ?? content.length, 18);
    common.writeUInt16LE(file.length, 22);
    const local = Buffer.concat([Buffer.from('PK\x03\x04'), common, file, packed]);
    const entry = Buffer.alloc(46);
    entry.write('PK\x01\x02');
    common.copy(entry, 6);
    entry.writeUInt32LE(offset, 42);
    central.push(Buffer.concat([entry, file]));
    locals.push(local);
    offset += local.length;
  }
  const directory = Buffer.concat(central);
  const end = Buffer.alloc(22);
  end.write('PK\x05\x06');
  end.writeUInt16LE(central.length, 8);
  end.writeUInt16LE(central.length, 10);
  end.writeUInt32LE(directory.length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...locals, directory, end]);
}
