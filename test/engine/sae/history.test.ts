import { beforeAll, describe, expect, test } from 'vitest';
import { ALIGNMENT_PRESETS } from '../../../src/engine/contract/alignmentPresets.ts';
import type { SaeConfig } from '../../../src/engine/contract/sae.ts';
import { initSae } from '../../../src/engine/sae/autoencoder.ts';
import {
  deadLatents,
  noteFired,
  noteSmallest,
  startHistory,
  thresholdOf,
  unfiredShare,
} from '../../../src/engine/sae/history.ts';
import { firedEval, pretrainLoss } from '../../../src/engine/sae/objective.ts';
import { NOTHING_KEPT } from '../../../src/engine/sae/ops.ts';
import { createStepper } from '../../../src/engine/step/create.ts';
import { createRandom } from '../../../src/random.ts';
import { loadTestBackend } from '../../helpers/engine.ts';

const [D, F, ROWS] = [6, 12, 24];
const config = (activation: SaeConfig['activation']): SaeConfig => ({
  ...{ dModel: D, nFree: F, nConcepts: 0, activation, k: 2, valueHeads: null },
});

describe('the history of latents', () => {
  test('counts the batches since each last fired, and calls those dead that reach the limit', () => {
    const history = startHistory({ ...config('RELU'), nFree: 3 });
    noteFired(history, [1, 0, 0]);
    noteFired(history, [0, 5, 0]);
    expect([...history.sinceFired]).toEqual([1, 0, 2]);
    expect([...deadLatents(history, 2).dead!.data]).toEqual([0, 0, 1]);
    expect([...deadLatents(history, 1).dead!.data]).toEqual([1, 0, 1]);
    expect(unfiredShare(history, 2)).toBeCloseTo(1 / 3, 6);
  });

  test('averages the smallest values kept, all alike at first, and skips batches that kept nothing', () => {
    const history = startHistory(config('BATCH_TOPK'));
    for (const smallest of [1, 2, NOTHING_KEPT, 6]) noteSmallest(history, smallest);
    expect(thresholdOf(config('BATCH_TOPK'), history).threshold!.data[0]).toBeCloseTo(3, 5);
    for (let i = 0; i < 300; i++) noteSmallest(history, 10);
    expect(history.threshold).toBeCloseTo(10, 4); // it follows the weights
    expect(thresholdOf(config('TOPK'), history)).toEqual({});
  });
});

describe.each(['auto', 'wasm'] as const)('on the %s backend', (choice) => {
  beforeAll(() => loadTestBackend(choice));

  test.each(['RELU', 'TOPK', 'BATCH_TOPK'] as const)(
    'dead %s latents come back by the aux term alone',
    async (activation) => {
      expect(await firingLatents(activation, 0)).toBe(2);
      expect(await firingLatents(activation, 1)).toBeGreaterThan(4);
    },
  );
});

/** Trains with all but two latents dead from the start, and counts those that fire in the end. */
async function firingLatents(activation: SaeConfig['activation'], aux: number): Promise<number> {
  const sae = config(activation);
  const settings = {
    ...ALIGNMENT_PRESETS.COUNTERFACTUAL,
    weights: { ...ALIGNMENT_PRESETS.COUNTERFACTUAL.weights, aux },
  };
  const weights = initSae(sae, 1);
  weights['encoder.bias']!.data.fill(-8, 2);
  const stepper = createStepper({
    weights,
    optimizer: { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0, clipNorm: null },
    losses: { pretrain: pretrainLoss(sae, settings) },
    evals: { fired: firedEval(sae, settings) },
  });
  const random = createRandom(5, 'revival');
  const x = { data: Float32Array.from({ length: ROWS * D }, () => random.normal()), shape: [ROWS, D] };
  const history = startHistory(sae);
  let fired: ArrayLike<number> = [];
  try {
    for (let step = 0; step < 300; step++) {
      const batch = { x, ...(aux > 0 && deadLatents(history, 3)) };
      fired = (await stepper.evaluate('fired', { x })).rowsFired!.data;
      noteFired(history, fired);
      stepper.step('pretrain', batch, 5e-2);
    }
  } finally {
    stepper.dispose();
  }
  return Array.from(fired).filter((rows) => rows > 0).length;
}
