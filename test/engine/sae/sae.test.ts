import * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Sae } from '../../../src/engine/sae/sae.ts';
import { loadTestBackend } from '../../helpers/engine.ts';
import { handmadeSae } from '../align/handmade.ts';
import { tinySae } from '../align/tinySae.ts';

describe.each(['auto', 'wasm'] as const)('a loaded SAE on the %s backend', (choice) => {
  let handmade: ReturnType<typeof handmadeSae>;
  let sae: Sae;
  let h: Float32Array;
  /** Free latents first, then slots. */
  const latents = [
    [2, 3, 1, 0.25],
    [0, 1, -1, 0.5],
  ];

  beforeAll(async () => {
    await loadTestBackend(choice);
    handmade = handmadeSae();
    sae = handmade.sae;
    const rows = latents.map((z) => handmade.activation({ free: z.slice(0, 2), slots: z.slice(2), lost: 7 }));
    h = Float32Array.from(rows.flatMap((row) => [...row]));
  });
  afterAll(() => sae.dispose());

  test('reads all latents, chosen ones in their order, and slots from raw activations', () => {
    expect(sae.nLatents).toBe(4);
    expect([sae.slot(0), sae.slot(1)]).toEqual([2, 3]);
    expectClose(sae.latents(h), latents.flat());
    expectClose(
      sae.latents(h, [3, 0, 3]),
      latents.flatMap((z) => [z[3]!, z[0]!, z[3]!]),
    );
    expectClose(
      sae.slots(h),
      latents.flatMap((z) => z.slice(2)),
    );
  });

  test('writes raw activations, without what it does not see', () => {
    const seen = latents.flatMap((z) => [
      ...handmade.activation({ free: z.slice(0, 2), slots: z.slice(2), lost: 0 }),
    ]);
    expectClose(sae.decode(Float32Array.from(latents.flat())), seen);
    expectClose(sae.reconstruct(h), seen);
  });

  test('tells what a latent adds: its column times the scale', () => {
    const z = Float32Array.from(latents[0]!);
    const raised = z.slice();
    raised[sae.slot(1)]! += 2;
    const [before, after] = [sae.decode(z), sae.decode(raised)];
    const [column, other] = [sae.columns([3, 0]).slice(0, 5), sae.columns([0])];
    expectClose(
      after.map((value, j) => value - before[j]!),
      [...column].map((value) => 2 * value * sae.normalization.scale),
    );
    expect([...sae.columns([3, 0]).slice(5)]).toEqual([...other]);
  });

  test('has nothing in place of slots where it has none', () => {
    const without = new Sae(tinySae(1, { slots: false }));
    const rows = new Float32Array(3 * without.config.dModel).fill(0.5);
    expect(without.slots(rows)).toHaveLength(0);
    expect(without.latents(rows)).toHaveLength(3 * 4);
    expectClose(without.decode(without.latents(rows)), without.reconstruct(rows));
    without.dispose();
  });

  test('leaves its input as it was and no tensor behind', () => {
    const counts = () => [tf.memory().numTensors, tf.engine().backend.numDataIds()];
    const [given, before] = [h.slice(), counts()];
    const another = new Sae(tinySae());
    const all = another.latents(new Float32Array(another.config.dModel));
    another.columns([0, 1]);
    another.decode(all);
    another.dispose();
    sae.latents(h, [1]);
    sae.slots(h);
    sae.reconstruct(h);
    expect(h).toEqual(given);
    expect(counts()).toEqual(before);
  });
});

function expectClose(got: ArrayLike<number>, expected: ArrayLike<number>): void {
  expect(got.length).toBe(expected.length);
  for (let i = 0; i < got.length; i++) expect(got[i]).toBeCloseTo(expected[i]!, 4);
}
