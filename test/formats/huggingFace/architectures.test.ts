/** Every architecture against transformers: logits, residual stream, greedy tokens; training; and back to a directory. */
import { execFile } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { captureResidPost } from '../../../src/engine/align/capture.ts';
import { logits } from '../../../src/engine/model/decoder.ts';
import { generate } from '../../../src/engine/model/generate.ts';
import { type LanguageModel, readWeights } from '../../../src/engine/model/languageModel.ts';
import { nextTokenLoss } from '../../../src/engine/model/loss.ts';
import { packBatch } from '../../../src/engine/model/packing.ts';
import { createStepper } from '../../../src/engine/step/create.ts';
import { EagerStepper } from '../../../src/engine/step/eager.ts';
import type { StepperOptions } from '../../../src/engine/step/stepper.ts';
import { EXPORTED_FILES, openExported } from '../../../src/formats/huggingFace/exportModel.ts';
import { loadTestBackend } from '../../helpers/engine.ts';
import { ARCHITECTURES, expectedCases, importInto, loadInto, relativeError } from './fixtures.ts';

/** Of the largest number; the two forms of GELU differ by 1e-4. */
const TOLERANCE = 2e-5;
const PYTHON = process.env.PYTHON ?? 'python3';
const NAMES = readdirSync(ARCHITECTURES).filter((name) => !name.includes('.'));

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'alignsae-architectures-'));
});
afterAll(() => rm(dir, { recursive: true }));

const directoryOf = (name: string) => join(ARCHITECTURES, name);
const load = (name: string): Promise<LanguageModel> => loadInto(join(dir, name), directoryOf(name));

function lastLogits({ config, weights }: LanguageModel, tokens: number[]): number[] {
  const values = tf.tidy(() => logits(config, weights, tf.tensor2d([tokens], undefined, 'int32')).dataSync());
  return Array.from(values).slice(-config.dVocab);
}

describe.each(['auto', 'wasm'] as const)('on the %s backend', (backend) => {
  beforeAll(() => loadTestBackend(backend));

  test.each(NAMES)('%s computes what transformers does', async (name) => {
    const cases = await expectedCases(directoryOf(name));
    const model = await load(name);
    const before = tf.memory().numTensors;
    expect(cases.map(({ text }) => model.tokenizer.encode(text))).toEqual(cases.map(({ tokens }) => tokens));
    for (const { text, tokens, logits, resid_post } of cases) {
      expect(relativeError(lastLogits(model, tokens), logits), text).toBeLessThan(TOLERANCE);
      for (const [layer, expected] of resid_post.entries()) {
        const found = await captureResidPost(model, [tokens], { layer });
        expect(relativeError(Array.from(found), expected), `${text}, block ${layer}`).toBeLessThan(TOLERANCE);
      }
    }
    const prompts = cases.map(({ tokens }) => tokens);
    const made = await generate(model, prompts, { maxNewTokens: 32 });
    for (const [i, { text, greedy }] of cases.entries()) {
      const end = greedy.indexOf(model.tokenizer.eosId);
      expect(
        made[i]!.tokens.map(({ id }) => id),
        text,
      ).toEqual(end === -1 ? greedy : greedy.slice(0, end));
    }
    expect(tf.memory().numTensors).toBe(before);
    model.dispose();
  });
});

describe('training', () => {
  beforeAll(() => loadTestBackend());

  test.each(NAMES)('%s learns, compiled as op by op, and by the gradient of its loss', async (name) => {
    const ref = await importInto(join(dir, name), directoryOf(name));
    const { tokens } = (await expectedCases(directoryOf(name)))[2]!;
    const batch = packBatch(
      [
        { tokens: tokens.slice(0, 13), from: 2 },
        { tokens: tokens.slice(5, 12), from: 1 },
      ],
      { sequences: 2, tokens: 20, targets: 18 },
    );
    const settings = { beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0, clipNorm: null };
    const losses = { next: nextTokenLoss(ref.config, 12) };
    const options = async (): Promise<StepperOptions> => ({
      ...{ weights: await readWeights(ref), optimizer: settings, losses },
    });
    const [compiled, eager] = [createStepper(await options()), new EagerStepper(await options())];
    const made = [compiled, eager].map((stepper) => {
      const values = Array.from({ length: 12 }, () => stepper.step('next', batch, 0.01).loss!);
      stepper.dispose();
      return values;
    }) as [number[], number[]];
    expect(relativeError(made[0], made[1])).toBeLessThan(1e-4);
    expect(made[0].at(-1)).toBeLessThan(0.8 * made[0][0]!);
    await expectGradient(await readWeights(ref), (weights) => losses.next(weights, tensors(batch)).loss);
  });

  type Arrays = StepperOptions['weights'];
  const tensors = (arrays: Arrays): Record<string, tf.Tensor> =>
    Object.fromEntries(
      Object.entries(arrays).map(([name, { data, shape }]) => [
        name,
        tf.tensor(data, [...shape], data instanceof Int32Array ? 'int32' : 'float32'),
      ]),
    );

  /** Along the gradient of each weight the slope of the loss is the gradient's norm. */
  async function expectGradient(weights: Arrays, lossOf: (weights: Record<string, tf.Tensor>) => tf.Scalar) {
    const names = Object.keys(weights);
    const gradients = tf.tidy(() => {
      const start = tensors(weights);
      const f = (...xs: tf.Tensor[]) => lossOf(Object.fromEntries(names.map((name, i) => [name, xs[i]!])));
      const found = tf.grads(f)(names.map((name) => start[name]!));
      return found.map((gradient) => gradient.dataSync<'float32'>().slice());
    });
    const lossAt = (changed: Arrays) => tf.tidy(() => lossOf(tensors(changed)).dataSync()[0]!);
    for (const [i, name] of names.entries()) {
      const norm = Math.hypot(...gradients[i]!);
      const step = 1e-2 / Math.max(norm, 1);
      const moved = (sign: number) => {
        const { data, shape } = weights[name]!;
        const shifted = Float32Array.from(
          data,
          (value, j) => value + (sign * step * gradients[i]![j]!) / norm,
        );
        return lossAt({ ...weights, [name]: { data: shifted, shape } });
      };
      const slope = (moved(1) - moved(-1)) / (2 * step);
      expect(Math.abs(slope - norm), `${name}: slope ${slope}, gradient's norm ${norm}`).toBeLessThan(
        0.02 * norm + 1e-3,
      );
    }
  }
});

describe('taken out as a directory', () => {
  async function takeOut(name: string) {
    const ref = await importInto(join(dir, name), directoryOf(name));
    const directory = join(dir, `${name}-exported`);
    await mkdir(directory, { recursive: true });
    for (const file of EXPORTED_FILES) {
      const { bytes, chunks } = await openExported(ref, file);
      const content = await buffer(Readable.from(chunks()));
      expect(content.byteLength).toBe(bytes);
      await writeFile(join(directory, file), content);
    }
    return { ref, directory };
  }

  test.each(NAMES)('%s is, read again, the model that it was', async (name) => {
    const { ref, directory } = await takeOut(name);
    const again = await importInto(join(dir, `${name}-again`), directory);
    expect(again.config).toEqual(ref.config);
    expect(await readFile(again.weights)).toEqual(await readFile(ref.weights));
  });

  test('ids of tokens stay whole numbers, whatever the tokens are called', async () => {
    const ref = await importInto(join(dir, 'factor'), directoryOf('llama-3'));
    const { model, ...rest } = ref.tokenizer as { model: { vocab: Record<string, number> } };
    const vocab = { ...model.vocab, factor: 15_255 };
    const tokenizer = { ...rest, model: { ...model, vocab } };
    const { chunks } = await openExported({ ...ref, tokenizer }, 'tokenizer.json');
    expect((await buffer(Readable.from(chunks()))).toString()).toMatch(/"factor": 15255,?\n/);
  });

  test('all are loaded by transformers, which computes from them what it did', async (context) => {
    const directories: string[] = [];
    for (const name of NAMES) {
      const { directory } = await takeOut(name);
      const texts = (await expectedCases(directoryOf(name))).map(({ text }) => text);
      await writeFile(join(directory, 'prompts.json'), JSON.stringify(texts));
      directories.push(directory);
    }
    const script = fileURLToPath(new URL('../../server/modelExport.py', import.meta.url));
    const answer = await promisify(execFile)(PYTHON, [script, ...directories], { maxBuffer: 1 << 26 }).catch(
      (error) => {
        if (error.code === 'ENOENT' || /No module named '(transformers|torch)'/.test(error.stderr))
          return null;
        throw error;
      },
    );
    if (!answer) {
      const how = `${PYTHON} has no transformers: pip install torch transformers, or point PYTHON to where it is`;
      console.warn(`NOT CHECKED with transformers itself: ${how}`);
      return context.skip(how);
    }
    const results = JSON.parse(answer.stdout.trim().split('\n').at(-1)!);
    for (const [i, name] of NAMES.entries()) {
      const { architectures } = JSON.parse(await readFile(join(directoryOf(name), 'config.json'), 'utf8'));
      expect(results[i], name).toMatchObject({ architecture: architectures[0], problems: {} });
      for (const [j, { tokens, logits }] of (await expectedCases(directoryOf(name))).entries()) {
        expect(results[i].answers[j].tokens).toEqual(tokens);
        expect(relativeError(results[i].answers[j].logits, logits), name).toBeLessThan(TOLERANCE);
      }
    }
  }, 180_000);
});
