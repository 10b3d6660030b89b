import { fork } from 'node:child_process';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import * as tf from '@tensorflow/tfjs-core';
import { describe, expect, inject, test } from 'vitest';
import { type NativeAddon, nativeEnvironment } from '../../../src/engine/contract/native.ts';
import type { BackendChoice, BackendInfo } from '../../../src/engine/contract/protocol.ts';
import { loadBackend } from '../../../src/engine/native/backend.ts';
import { attribute, nativeBackend, rawOp, rawOps } from '../../../src/engine/native/rawOps.ts';
import { createRandom } from '../../../src/random.ts';

const native = inject('native');
const missing: NativeAddon = { available: false, reason: 'There is no C++ compiler.' };
const broken: NativeAddon = {
  available: true,
  path: fileURLToPath(import.meta.url).replace(/ts$/, 'node'),
  tensorflowVersion: '2.21.0',
  gpus: [],
  libraryDirs: [],
  products: [],
};

interface Answer {
  info: BackendInfo;
  product: number[][];
  /** Process-wide error handlers, which are nobody's to install here. */
  handlers: number;
}

/** Loads a backend in a process of its own, as an engine child does. */
async function loadInChild(choice: BackendChoice, addon: NativeAddon) {
  const tsx = createRequire(import.meta.url).resolve('tsx');
  const child = fork(new URL('backendChild.ts', import.meta.url), [], {
    env: { PATH: process.env.PATH!, ...nativeEnvironment(addon, {}) },
    execArgv: ['--import', tsx],
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  const written = Promise.all([text(child.stdout!), text(child.stderr!)]);
  child.send({ choice, addon });
  const [answer] = (await once(child, 'message')) as [Answer];
  return { ...answer, written: (await written).join('') };
}

describe('in an engine child', () => {
  test.skipIf(!native.available)('auto takes the addon and says nothing', async () => {
    const { info, product, written } = await loadInChild('auto', native);
    expect(info).toEqual({
      backend: 'tensorflow',
      tensorflowVersion: expect.stringMatching(/^2\.\d+\.\d+$/),
      devices: [{ name: expect.stringMatching(/./), kind: expect.stringMatching(/^[CG]PU$/) }],
      fallbackReason: null,
      products: native.available && native.products,
    });
    expect(product).toEqual([
      [19, 22],
      [43, 50],
    ]);
    expect(written).toBe('');
  });

  test('auto falls back to wasm and hands on the reason', async () => {
    const { info, product, handlers, written } = await loadInChild('auto', missing);
    expect(info).toEqual({
      backend: 'wasm',
      tensorflowVersion: null,
      devices: [{ name: expect.stringMatching(/./), kind: 'CPU' }],
      fallbackReason: 'There is no C++ compiler.',
      products: [],
    });
    expect(product).toEqual([
      [19, 22],
      [43, 50],
    ]);
    expect(handlers).toBe(0);
    expect(written).toBe('');
  });

  test('auto falls back when the addon does not load', async () => {
    const { info } = await loadInChild('auto', broken);
    expect(info.backend).toBe('wasm');
    expect(info.fallbackReason).toMatch(/backend\.test\.node does not load: /);
  });
});

test.each([missing, broken])('native insists', async (addon) => {
  await expect(loadBackend('native', addon)).rejects.toMatchObject({
    code: 'UNAVAILABLE',
    message: expect.stringMatching(/not available: .*(no C\+\+ compiler|does not load).* `npm run native`/s),
  });
});

test('wasm insists', async () => {
  expect(await loadBackend('wasm', native)).toMatchObject({
    backend: 'wasm',
    fallbackReason: 'The wasm backend was asked for.',
  });
  expect(tf.getBackend()).toBe('wasm');
  expect(() => nativeBackend()).toThrow('current is wasm');
});

describe.skipIf(!native.available)('on the addon', () => {
  test('products agree with those of wasm', async () => {
    const random = createRandom(3);
    const [a, b] = [random, random].map((r) => Float32Array.from({ length: 64 * 64 }, () => r.normal()));
    const product = async (choice: BackendChoice) => {
      await loadBackend(choice, native);
      return tf.tidy(() => tf.matMul(tf.tensor2d(a!, [64, 64]), tf.tensor2d(b!, [64, 64])).dataSync());
    };
    const [ours, theirs] = [await product('native'), await product('wasm')];
    expect(Math.max(...ours.map((x, i) => Math.abs(x - theirs[i]!)))).toBeLessThan(1e-4);
  });

  test('raw ops take typed attributes, and give one output, several or none', async () => {
    await loadBackend('native', native);
    const before = nativeBackend().binding.getNumOfTensors();
    tf.tidy(() => {
      const x = tf.tensor2d([3, 1, 2, 9, 8, 7], [2, 3]);
      const sorted = rawOps(
        'TopKV2',
        [attribute.type('T', 'float32'), attribute.bool('sorted', true)],
        [x, tf.scalar(2, 'int32')],
        2,
      );
      expect(sorted.map((t) => t.arraySync())).toEqual([
        [
          [3, 2],
          [9, 8],
        ],
        [
          [0, 2],
          [0, 1],
        ],
      ]);
      const handle = rawOp(
        'VarHandleOp',
        [
          attribute.type('dtype', 'float32'),
          attribute.shape('shape', [2, 3]),
          attribute.string('shared_name', 'v'),
        ],
        [],
      );
      expect(rawOps('AssignVariableOp', [attribute.type('dtype', 'float32')], [handle, x], 0)).toEqual([]);
      const read = rawOp('ReadVariableOp', [attribute.type('dtype', 'float32')], [handle]);
      expect(read.arraySync()).toEqual(x.arraySync());
      rawOps('DestroyResourceOp', [], [handle], 0);
      const leaky = rawOp(
        'LeakyRelu',
        [attribute.type('T', 'float32'), attribute.float('alpha', 0.5)],
        [tf.scalar(-2)],
      );
      expect(leaky.arraySync()).toBe(-1);
    });
    expect(nativeBackend().binding.getNumOfTensors()).toBe(before);
    expect(() => attribute.type('T', 'complex64')).toThrow('dtype must be one of');
    expect(() => rawOp('NoSuchOp', [], [])).toThrow(/NoSuchOp/);
  });
});
