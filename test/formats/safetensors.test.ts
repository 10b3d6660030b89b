import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { AppError } from '../../src/errors.ts';
import {
  readHeader,
  readSafetensors,
  readSafetensorsHeader,
  writeSafetensors,
} from '../../src/formats/safetensors.ts';

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'alignsae-checkpoint-'));
});
afterAll(() => rm(directory, { recursive: true }));

const arrays = {
  'h.0.weight': { data: Float32Array.of(1.5, -0, Number.NaN, 3e-40, Infinity, 7), shape: [2, 3] },
  order: { data: Int32Array.of(-1, 2 ** 31 - 1), shape: [2] },
  scalar: { data: Float32Array.of(42), shape: [] },
  empty: { data: new Float32Array(0), shape: [0, 4] },
};

test('what is written is read back bit for bit, whole or one tensor at a time', async () => {
  const path = join(directory, 'a.safetensors');
  const written = await writeSafetensors(path, arrays, { format: 'pt', note: 'ö' });
  expect(await readSafetensors(path)).toEqual({ arrays, metadata: { format: 'pt', note: 'ö' } });
  expect((await readSafetensors(path, ['order'])).arrays).toEqual({ order: arrays.order });
  expect((await readSafetensorsHeader(path)).tensors.order).toMatchObject({ dtype: 'I32', shape: [2] });
  const bytes = await readFile(path);
  expect(written).toEqual({
    path,
    bytes: bytes.byteLength,
    sha256: createHash('sha256').update(bytes).digest('hex'),
  });
});

test('a view into a larger buffer is written as the view, and its file is the same', async () => {
  const larger = Float32Array.of(9, 9, ...arrays['h.0.weight'].data, 9);
  const views = { ...arrays, 'h.0.weight': { data: larger.subarray(2, 8), shape: [2, 3] } };
  const whole = await writeSafetensors(join(directory, 'b.safetensors'), arrays);
  const part = await writeSafetensors(join(directory, 'c.safetensors'), views);
  expect(part.sha256).toBe(whole.sha256);
});

test('reads a file laid out as the format describes it, header unpadded and in any order', async () => {
  const header = JSON.stringify({
    b: { dtype: 'F32', shape: [1], data_offsets: [4, 8] },
    __metadata__: { by: 'hand' },
    a: { dtype: 'I32', shape: [1, 1], data_offsets: [0, 4] },
  });
  const path = await writeRaw('hand', header, Buffer.from([7, 0, 0, 0, 0, 0, 0x80, 0x3f]));
  expect(await readSafetensors(path)).toEqual({
    arrays: {
      a: { data: Int32Array.of(7), shape: [1, 1] },
      b: { data: Float32Array.of(1), shape: [1] },
    },
    metadata: { by: 'hand' },
  });
});

test('a failed write leaves the earlier file and nothing else', async () => {
  const nested = await mkdtemp(join(directory, 'failed-'));
  const path = join(nested, 'd.safetensors');
  const { sha256 } = await writeSafetensors(path, arrays);
  const broken = { x: { data: undefined as unknown as Float32Array, shape: [1] } };
  await expect(writeSafetensors(path, broken)).rejects.toThrow();
  expect(await readdir(nested)).toEqual(['d.safetensors']);
  expect(
    createHash('sha256')
      .update(await readFile(path))
      .digest('hex'),
  ).toBe(sha256);
});

describe('a malformed file is refused with its reason', () => {
  const entry = (fields: object) =>
    JSON.stringify({ x: { dtype: 'F32', shape: [2], data_offsets: [0, 8], ...fields } });

  test.each([
    ['no JSON', '{"x": ', /header is not JSON/],
    ['no object', '[1]', /not a JSON object/],
    ['numbers as metadata', '{"__metadata__":{"a":1}}', /__metadata__/],
    ['no dtype', entry({ dtype: null }), /'x' lacks a dtype/],
    ['negative size', entry({ shape: [-2] }), /'x' lacks/],
    ['another type', entry({ dtype: 'BF16', shape: [4] }), /'x' is BF16; F32 and I32 are accepted/],
    ['wrong size', entry({ shape: [3] }), /\[3\] needs 12 bytes, has 8/],
    ['past the end', entry({ data_offsets: [0, 16] }), /lies at bytes/],
    ['backwards', entry({ data_offsets: [8, 0] }), /lies at bytes/],
  ])('%s', async (_, header, reason) => {
    await expect(readSafetensors(await writeRaw('bad', header, Buffer.alloc(8)))).rejects.toMatchObject({
      code: 'UNAVAILABLE', // a file of the server's own
      message: expect.stringMatching(reason),
    });
  });

  test('too short, claiming too much, or without the tensor asked for', async () => {
    const path = join(directory, 'short.safetensors');
    await writeFile(path, 'abc');
    await expect(readSafetensors(path)).rejects.toThrow(/short.safetensors.*it has 3 bytes/);
    await writeFile(path, Buffer.alloc(64, 255));
    await expect(readSafetensors(path)).rejects.toThrow(/header claims/);
    await writeSafetensors(path, arrays);
    await expect(readSafetensors(path, ['missing'])).rejects.toThrow(/no tensor 'missing'/);
  });
});

async function writeRaw(name: string, header: string, data: Buffer): Promise<string> {
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(Buffer.byteLength(header)));
  const path = join(directory, `${name}.safetensors`);
  await writeFile(path, Buffer.concat([length, Buffer.from(header), data]));
  return path;
}

describe('a file from elsewhere', () => {
  interface Case {
    name: string;
    file: string;
    /** Names of its tensors, where the reference library reads it. */
    tensors?: string[];
    refused?: string;
  }
  const cases: Case[] = JSON.parse(
    readFileSync(new URL('../fixtures/safetensors/cases.json', import.meta.url), 'utf8'),
  );
  /** The format forbids them; the reference takes the last. */
  const STRICTER = ['a name twice', 'a name twice, differently written'];
  const open = (bytes: Buffer) =>
    readHeader(
      { size: bytes.length, read: async (begin, end) => Buffer.from(bytes.subarray(begin, end)) },
      'x.safetensors',
    );

  test.each(cases)('$name: as the reference library', async ({ name, file, tensors }) => {
    const opened = await open(Buffer.from(file, 'base64')).catch((error: unknown) => error as AppError);
    if (tensors && !STRICTER.includes(name))
      expect('tensors' in opened && Object.keys(opened.tensors).sort()).toEqual(tensors);
    else expect(opened).toMatchObject({ code: 'INVALID_INPUT', message: expect.stringMatching(/^x\.safe/) });
  });

  test.each([
    ['overlap', /tensor 'b' overlaps tensor 'a' at bytes/],
    ['a gap between', /no tensor has bytes \d+–\d+, between tensor 'a' and tensor 'b'/],
    ['bytes behind', /no tensor has its last 4 bytes, behind tensor 'a'/],
    ['a name twice', /names 'a' twice/],
    ['an LFS pointer', /it is a Git LFS pointer.*git lfs pull/],
    ['a length beyond 2^53', /claims 9223372036854775808 bytes, but the file has 10/],
    ['shape overflows to the right size', /'a' lacks a dtype, shape|more elements than a file can hold/],
  ])('%s: the message names the place', async (name, reason) => {
    const { file } = cases.find((each) => each.name === name)!;
    await expect(open(Buffer.from(file, 'base64'))).rejects.toThrow(reason);
  });

  test('of another format: it is named', async () => {
    for (const [begin, reason] of [
      ['PK\u0003\u0004', /zip archive/],
      ['GGUF', /GGUF/],
      ['<!DOCTYPE html>', /web page/],
    ] as const)
      await expect(open(Buffer.concat([Buffer.from(begin), Buffer.alloc(64, 255)]))).rejects.toThrow(reason);
  });
});
