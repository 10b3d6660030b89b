/** Checkpoints that transformers wrote (`test/fixtures/gpt2/make.py`), computed here. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { logits } from '../../../src/engine/model/decoder.ts';
import { type LanguageModel, loadLanguageModel } from '../../../src/engine/model/languageModel.ts';
import { openFiles } from '../../../src/formats/huggingFace/files.ts';
import { type ImportedModel, openCheckpoint } from '../../../src/formats/huggingFace/importModel.ts';
import { type ByteSource, readSafetensorsHeader, writeChunks } from '../../../src/formats/safetensors.ts';
import { loadTestBackend } from '../../helpers/engine.ts';

const FIXTURES = fileURLToPath(new URL('../../fixtures/gpt2', import.meta.url));
const NAMES = ['f32', 'f16', 'bf16-sharded', 'original-names'];
const TOLERANCE = 1e-4;

let dir: string;
beforeAll(async () => {
  await loadTestBackend();
  dir = await mkdtemp(join(tmpdir(), 'alignsae-import-'));
});
afterAll(() => rm(dir, { recursive: true }));

interface Case {
  text: string;
  tokens: number[];
  logits: number[];
}

function openFixture(name: string) {
  const located = (file: string) => join(FIXTURES, name, file);
  return openFiles(async (file) => (existsSync(located(file)) ? located(file) : null));
}

async function withFixture<T>(name: string, use: (model: ImportedModel) => Promise<T>): Promise<T> {
  const files = openFixture(name);
  try {
    return await use(await openCheckpoint(files));
  } finally {
    await files.close();
  }
}

async function load(name: string): Promise<LanguageModel> {
  return withFixture(name, async ({ config, tokenizer, weights }) => {
    const { path, bytes } = await writeChunks(join(dir, `${name}.safetensors`), weights.chunks());
    expect(bytes).toBe(weights.bytes);
    return loadLanguageModel({ weights: path, config, tokenizer });
  });
}

function lastLogits({ config, weights }: LanguageModel, tokens: number[]): number[] {
  const z = tf.tidy(() => logits(config, weights, tf.tensor2d([tokens], undefined, 'int32')));
  const values = Array.from(z.dataSync()).slice(-config.dVocab);
  z.dispose();
  return values;
}

describe.each(NAMES)('%s', (name) => {
  test('has the token ids and the logits of transformers', async () => {
    const { cases } = JSON.parse(await readFile(join(FIXTURES, name, 'expected.json'), 'utf8'));
    const model = await load(name);
    for (const { text, tokens, logits: expected } of cases as Case[]) {
      expect(model.tokenizer.encode(text), text).toEqual(tokens);
      const found = lastLogits(model, tokens);
      const scale = Math.max(...expected.map(Math.abs));
      const error = Math.max(...found.map((value, i) => Math.abs(value - expected[i]!))) / scale;
      expect(error, text).toBeLessThan(TOLERANCE);
    }
    model.dispose();
  });
});

describe('reading', () => {
  test('takes each weight once, in ranges, after all headers', async () => {
    const reads: [string, number, number][] = [];
    const files = openFixture('bf16-sharded');
    const { weights } = await openCheckpoint({ open: (name) => watch(name, reads, files.open(name)) });
    const before = reads.length;
    for await (const _ of weights.chunks());
    await files.close();
    const [headers, tensors] = [reads.slice(0, before), reads.slice(before)];
    const shards = new Set(tensors.map(([name]) => name));
    expect(shards.size).toBe(7);
    for (const name of shards) {
      const ranges = tensors.filter((read) => read[0] === name).sort((a, b) => a[1] - b[1]);
      const dataStart = Math.max(...headers.filter((read) => read[0] === name).map(([, , end]) => end));
      let at = dataStart;
      for (const [, begin, end] of ranges) {
        expect(begin, `${name} is read without gap and without repeat`).toBe(at);
        at = end;
      }
    }
  });

  async function watch(
    name: string,
    reads: [string, number, number][],
    opening: Promise<ByteSource | null>,
  ): Promise<ByteSource | null> {
    const source = await opening;
    return (
      source && {
        size: source.size,
        read: (begin, end) => {
          reads.push([name, begin, end]);
          return source.read(begin, end);
        },
      }
    );
  }
});

describe('a checkpoint that is not supported is refused by name', () => {
  /** The f32 fixture with some of its files replaced; null takes one away. */
  async function openChanged(changes: Record<string, string | Buffer | null>, read = false) {
    const files = openFixture('f32');
    const open = async (name: string): Promise<ByteSource | null> => {
      const change = changes[name];
      if (change === undefined) return files.open(name);
      if (change === null) return null;
      const bytes = Buffer.from(change);
      return {
        size: bytes.length,
        read: async (begin, end) => Buffer.from(new Uint8Array(bytes.subarray(begin, end))),
      };
    };
    try {
      const { weights } = await openCheckpoint({ open });
      if (read) for await (const _ of weights.chunks());
    } finally {
      await files.close();
    }
  }
  /** The same, weights and all. */
  const readChanged = (changes: Record<string, Buffer>) => openChanged(changes, true);
  const fixture = async (name: string) => JSON.parse(await readFile(join(FIXTURES, 'f32', name), 'utf8'));

  test.each([
    ['model_type', 'bert', /model_type is bert; supported is gpt2 or /],
    ['architectures', ['GPT2ForSequenceClassification'], /architectures is .*GPT2LMHeadModel/],
    ['tie_word_embeddings', false, /no weight "lm_head\.weight"/],
    ['activation_function', 'relu', /activation_function is relu; supported is gelu_new or/],
    ['scale_attn_by_inverse_layer_idx', true, /scale_attn_by_inverse_layer_idx is true/],
    ['scale_attn_weights', false, /scale_attn_weights is false/],
    ['add_cross_attention', true, /add_cross_attention is true/],
    ['quantization_config', { bits: 4 }, /quantization_config is set/],
    ['n_head', 3, /n_head is 3; supported is a divisor of n_embd, 16/],
    ['n_layer', 'two', /n_layer/],
    ['n_inner', 20, /mlp\.c_fc\.\w+ has the shape .*; config.json makes it/],
    ['n_layer', 3, /no weight "h\.2\./],
    ['n_layer', 1, /gpt2 model has no weight "transformer\.h\.1\./],
    ['vocab_size', 100, /largest id is 339, but config.json has a vocab_size of 100/],
  ])('%s: %j', async (key, value, reason) => {
    const config = { ...(await fixture('config.json')), [key]: value };
    await expect(openChanged({ 'config.json': JSON.stringify(config) })).rejects.toMatchObject({
      code: 'INVALID_INPUT',
      message: expect.stringMatching(reason),
    });
  });

  test('files that are missing or malformed', async () => {
    for (const name of ['config.json', 'tokenizer.json', 'model.safetensors'])
      await expect(openChanged({ [name]: null })).rejects.toThrow(`the checkpoint has no ${name}`);
    await expect(openChanged({ 'config.json': '{' })).rejects.toThrow(/config.json is not JSON/);
    const outside = JSON.stringify({ weight_map: { a: '../f16/model.safetensors' } });
    await expect(
      openChanged({ 'model.safetensors': null, 'model.safetensors.index.json': outside }),
    ).rejects.toThrow(/not a file beside it/);
    const tokenizer = await fixture('tokenizer.json');
    const unigram = { ...tokenizer, model: { type: 'Unigram', vocab: [['a', 0]] } };
    await expect(openChanged({ 'tokenizer.json': JSON.stringify(unigram) })).rejects.toThrow(
      /its model is Unigram; supported are BPE/,
    );
  });

  test('weights that are not finite, by name and place', async () => {
    const file = await readFile(join(FIXTURES, 'f32', 'model.safetensors'));
    const { tensors } = await readSafetensorsHeader(join(FIXTURES, 'f32', 'model.safetensors'));
    const { begin } = tensors['transformer.h.1.mlp.c_fc.weight']!;
    for (const value of [Number.NaN, -Infinity]) {
      const changed = Buffer.from(file);
      changed.writeFloatLE(value, begin + 4 * 5);
      await expect(readChanged({ 'model.safetensors': changed })).rejects.toThrow(
        `transformer.h.1.mlp.c_fc.weight has the value ${value} at element 5; weights must be finite`,
      );
    }
  });

  test('files that are only pointers, or no files', async () => {
    const pointer = 'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n';
    for (const name of ['config.json', 'tokenizer.json', 'model.safetensors'])
      await expect(openChanged({ [name]: pointer })).rejects.toThrow(
        new RegExp(`^${name} is not .*Git LFS pointer.*git lfs pull`),
      );
    execFileSync('mkfifo', [join(dir, 'config.json')]);
    const files = openFiles(async (name) => join(dir, name));
    await expect(openCheckpoint(files)).rejects.toThrow('config.json is not a regular file');
    await files.close();
  });

  test('weights of another type', async () => {
    const file = await readFile(join(FIXTURES, 'f32', 'model.safetensors'));
    const changed = Buffer.from(file.toString('latin1').replace('"F32"', '"I32"'), 'latin1');
    await expect(openChanged({ 'model.safetensors': changed })).rejects.toThrow(
      /is I32; supported are F32, F16, BF16/,
    );
  });
});
