import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, test } from 'vitest';
import { SWAP_METHODS, type SwapMethod } from '../../../src/engine/contract/swap.ts';
import { applyEdits, setLatents } from '../../../src/engine/edits/edit.ts';
import { latentSwap } from '../../../src/engine/edits/editors.ts';
import { METHODS, type StandIn } from '../../../src/engine/edits/methods.ts';
import type { Sae } from '../../../src/engine/sae/sae.ts';
import { loadTestBackend } from '../../helpers/engine.ts';
import { handmadeSae } from '../align/handmade.ts';

// Slots 0 and 1 behind two free latents.
const SWAP = { off: { concept: 0, latent: 2, scale: 1 }, on: { concept: 1, latent: 3, scale: 1 } };

const editOf = (sae: Sae, method: SwapMethod, alpha: number, swap: { off: StandIn; on: StandIn } = SWAP) =>
  METHODS[method].prepare(sae, swap)(alpha);

describe.each(['auto', 'wasm'] as const)('on the %s backend', (choice) => {
  beforeAll(() => loadTestBackend(choice));

  const edit = (method: SwapMethod, h: Float32Array, alpha: number) => {
    const { sae } = handmadeSae();
    try {
      return applyEdits(sae, h, [editOf(sae, method, alpha)]);
    } finally {
      sae.dispose();
    }
  };

  test('LATENT_DECODE writes the edited latents and drops what the SAE does not see', () => {
    const { sae, activation } = handmadeSae();
    const h = activation({ slots: [1, 0.25], free: [2, 3], lost: 7 });
    expectClose(edit('LATENT_DECODE', h, 1.5), activation({ slots: [0, 1.5], free: [2, 3] }));
    const z = setLatents(sae, sae.latents(h), [{ set: [{ latent: 3, value: 1.5 }], keepsError: false }]);
    expectClose(z, [2, 3, 1, 1.5]);
    sae.dispose();
  });

  test('LATENT_DELTA changes the same and keeps what the SAE does not see', () => {
    const { sae, activation } = handmadeSae();
    sae.dispose();
    const resid = edit('LATENT_DELTA', activation({ slots: [1, 0.25], free: [2, 3], lost: 7 }), 1.5);
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
    expectClose(
      edit(method, h, 2),
      added.map((value, j) => value + h[j]!),
    );
  });

  test('rows are edited each by its own edit', () => {
    const { sae, activation } = handmadeSae();
    const rows = [activation({ slots: [1, 0], free: [1, 1] }), activation({ slots: [0, 1], free: [1, 2] })];
    const added = Float32Array.of(1, 0, 0, 0, 2);
    const edits = [
      editOf(sae, 'LATENT_DECODE', 1),
      { direction: added, size: 3, unit: 'ONE' as const },
      // A free latent: the random control.
      editOf(sae, 'LATENT_DECODE', 4, { off: SWAP.on, on: { concept: 0, latent: 0, scale: 1 } }),
    ];
    const h = Float32Array.of(...rows[0]!, ...rows[0]!, ...rows[1]!);
    for (const z of [undefined, sae.latents(h)]) {
      const resid = applyEdits(sae, h, edits, z);
      expectClose(resid.subarray(0, 5), activation({ slots: [0, 1], free: [1, 1] }));
      expectClose(
        resid.subarray(5, 10),
        rows[0]!.map((value, j) => value + 3 * added[j]!),
      );
      expectClose(resid.subarray(10), activation({ slots: [0, 0], free: [4, 2] }));
    }
    sae.dispose();
  });

  test('every method of the contract writes something of its own', () => {
    const { sae, activation } = handmadeSae();
    const h = activation({ slots: [1, 0.25], free: [2, 3], lost: 7 });
    const written = SWAP_METHODS.map((method) => String(applyEdits(sae, h, [editOf(sae, method, 0.5)])));
    expect(new Set(written).size).toBe(SWAP_METHODS.length);
    sae.dispose();
  });

  test('alpha counts in the scale of the latent that stands for the target, or is the strength of a direction', () => {
    const { sae } = handmadeSae();
    const latents = [2, 0, 3].map((latent, i) => ({ latent, meanActivation: i + 1 }));
    const swap = latentSwap(latents, { source: 0, target: 2 });
    expect(editOf(sae, 'LATENT_DELTA', 2, swap)).toEqual({
      keepsError: true,
      set: [
        { latent: 2, value: 0 },
        { latent: 3, value: 6 },
      ],
    });
    expect(editOf(sae, 'ORTHOGONAL', 2, swap)).toMatchObject({ size: 2, unit: 'LENGTH' });
    sae.dispose();
  });

  test('MEAN_DIFFERENCE knows concepts alone, whatever latents stand for them', () => {
    const { sae } = handmadeSae();
    const odd = { off: { ...SWAP.off, latent: 0 }, on: { ...SWAP.on, latent: 1 } };
    const [own, other] = [SWAP, odd].map((swap) => editOf(sae, 'MEAN_DIFFERENCE', 2, swap));
    expect(other).toEqual(own);
    sae.dispose();
  });

  test('leaves no tensor behind', () => {
    const { sae } = handmadeSae();
    const run = () => {
      for (const method of SWAP_METHODS) applyEdits(sae, h, [editOf(sae, method, 1)]);
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
