import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, test } from 'vitest';
import { editResid } from '../../../src/engine/align/swapMethods.ts';
import { SWAP_METHODS, type SwapMethod } from '../../../src/engine/contract/swap.ts';
import { loadTestBackend } from '../../helpers/engine.ts';
import { handmadeSae } from './handmade.ts';

const [OFF, ON] = [2, 3]; // slots 0 and 1 behind two free latents

describe.each(['auto', 'wasm'] as const)('on the %s backend', (choice) => {
  beforeAll(() => loadTestBackend(choice));

  const edit = (method: SwapMethod, h: Float32Array, alpha: number) => {
    const { sae } = handmadeSae();
    try {
      return editResid(sae, h, [{ off: OFF, on: ON, alpha }], method);
    } finally {
      sae.dispose();
    }
  };

  test('LATENT_DECODE writes the edited latents and drops what the SAE does not see', () => {
    const { sae, activation } = handmadeSae();
    sae.dispose();
    const { resid, before, after } = edit(
      'LATENT_DECODE',
      activation({ slots: [1, 0.25], free: [2, 3], lost: 7 }),
      1.5,
    );
    expectClose(resid, activation({ slots: [0, 1.5], free: [2, 3] }));
    expectClose(before, [1, 0.25]);
    expectClose(after, [0, 1.5]);
  });

  test('LATENT_DELTA changes the same and keeps what the SAE does not see', () => {
    const { sae, activation } = handmadeSae();
    sae.dispose();
    const { resid } = edit('LATENT_DELTA', activation({ slots: [1, 0.25], free: [2, 3], lost: 7 }), 1.5);
    expectClose(resid, activation({ slots: [0, 1.5], free: [2, 3], lost: 7 }));
  });

  const h = Float32Array.of(3, 0, 0, 0, 4); // ‖h‖ = 5
  const length = Math.sqrt(1.25); // of the slots' columns, [1, 0, 0, ½, 0] and [0, 1, 0, ½, 0]
  // Column b less its part along column a: (b·a)/(a·a) = ¼ / 1¼ = 0.2.
  const apart = [-0.2, 1, 0, 0.4, 0];
  const apartLength = Math.sqrt(0.04 + 1 + 0.16);
  test.each<[SwapMethod, number[]]>([
    ['DECODER_COLUMN', [0, 1, 0, 0.5, 0].map((v) => (10 * v) / length)],
    ['DECODER_PAIR', [-1, 1, 0, 0, 0].map((v) => (10 * v) / length)],
    ['ORTHOGONAL', apart.map((v) => (10 * v) / apartLength)],
    ['MEAN_DIFFERENCE', [1, 0, -1, -2, -3].map((v) => 2 * v)],
  ])('%s adds alpha times its direction', (method, added) => {
    const { sae } = handmadeSae();
    const { resid, before, after } = edit(method, h, 2);
    expectClose(
      resid,
      added.map((value, j) => value + h[j]!),
    );
    const slotsOf = (row: ArrayLike<number>) => [0, 1].map((axis) => (row[axis]! - [0.5, -0.5][axis]!) / 2);
    expectClose(before, slotsOf(h));
    expectClose(after, slotsOf(resid)); // what the SAE reads in the new activation
    sae.dispose();
  });

  test('rows are edited each by its own edit', () => {
    const { sae, activation } = handmadeSae();
    const rows = [activation({ slots: [1, 0], free: [1, 1] }), activation({ slots: [0, 1], free: [1, 2] })];
    const edits = [
      { off: OFF, on: ON, alpha: 1 },
      { off: ON, on: 0, alpha: 4 }, // a free latent: the random control
    ];
    const { resid } = editResid(sae, Float32Array.of(...rows[0]!, ...rows[1]!), edits, 'LATENT_DECODE');
    expectClose(resid.subarray(0, 5), activation({ slots: [0, 1], free: [1, 1] }));
    expectClose(resid.subarray(5), activation({ slots: [0, 0], free: [4, 2] }));
    sae.dispose();
  });

  test('leaves no tensor behind', () => {
    const { sae } = handmadeSae();
    const run = () => {
      for (const method of SWAP_METHODS) editResid(sae, h, [{ off: OFF, on: ON, alpha: 1 }], method);
    };
    run();
    const before = [tf.memory().numTensors, tf.engine().backend.numDataIds()];
    run();
    expect([tf.memory().numTensors, tf.engine().backend.numDataIds()]).toEqual(before);
    sae.dispose();
  });
});

function expectClose(got: ArrayLike<number>, expected: ArrayLike<number>): void {
  expect(got.length).toBe(expected.length);
  for (let i = 0; i < got.length; i++) expect(got[i]).toBeCloseTo(expected[i]!, 4);
}
