/** The product's own losses and evaluations, compiled and op by op. */
import { beforeAll, describe, expect, inject, test } from 'vitest';
import { resolveAlignmentSettings } from '../../../src/engine/contract/alignmentPresets.ts';
import { encoderActivation } from '../../../src/engine/contract/alignmentSettings.ts';
import type { Arrays } from '../../../src/engine/contract/arrays.ts';
import type { SaeConfig } from '../../../src/engine/contract/sae.ts';
import { greedyPredictions, nextTokenLoss } from '../../../src/engine/model/loss.ts';
import { packBatch } from '../../../src/engine/model/packing.ts';
import { initSae } from '../../../src/engine/sae/autoencoder.ts';
import { posttrainLoss, pretrainLoss, validationEval } from '../../../src/engine/sae/objective.ts';
import { CompiledStepper } from '../../../src/engine/step/compiled.ts';
import { EagerStepper } from '../../../src/engine/step/eager.ts';
import type { Stepper, StepperOptions } from '../../../src/engine/step/stepper.ts';
import { createRandom } from '../../../src/random.ts';
import { loadTestBackend } from '../../helpers/engine.ts';
import { tinyConfig, tinyWeights } from '../model/tiny.ts';
import { expectClose } from './contract.ts';
import { adamW, randomArrays } from './problem.ts';

const STEPS = 3;
/** Of a size with the gradients, or else Adam makes a whole step of a gradient that is zero but for rounding. */
const optimizer = { ...adamW, epsilon: 1e-2 };

describe.skipIf(!inject('native').available)('compiled as op by op:', () => {
  beforeAll(() => loadTestBackend('native'));

  test('the language model', () =>
    expectSame(
      {
        weights: tinyWeights(),
        optimizer: { ...optimizer, clipNorm: 1 },
        losses: { nextToken: nextTokenLoss(tinyConfig, 5) },
        evals: { predict: greedyPredictions(tinyConfig, 5) },
      },
      packBatch(
        [6, 3, 5].map((length, i) => ({ tokens: [...ids(tinyConfig.dVocab, length).data], from: 1 + i })),
        { sequences: 4, tokens: 14, targets: 12 },
      ),
    ));

  test.each(encoderActivation.options)('both stages of an SAE with every term, %s', (activation) => {
    const config: SaeConfig = {
      dModel: 8,
      nFree: 12,
      nConcepts: 3,
      activation,
      k: 4,
      valueHeads: { hidden: 5, dVocab: 7 },
    };
    const { weights } = resolveAlignmentSettings({ preset: 'COUNTERFACTUAL' });
    const settings = {
      ...resolveAlignmentSettings({ preset: 'COUNTERFACTUAL' }),
      weights: { ...weights, indep: 0.01, silence: 1, aux: 0.1 },
      decoderNorm: 'UNIT' as const,
    };
    const rows = 6;
    const batch = {
      ...randomArrays(1, { x: [rows, 8], partner: [rows, 8], silent: [4, 8] }),
      concepts: oneHot(3, [0, 0, 1, 1, 2, 2]),
      targets: oneHot(3, [1, 2, 0, 2, 1, 0]),
      answers: ids(7, rows),
      paired: ones(rows),
      dead: { data: Float32Array.from({ length: 12 }, (_, i) => Number(i % 3 === 0)), shape: [12] },
      ...(activation === 'BATCH_TOPK' && { threshold: { data: Float32Array.of(0.1), shape: [1] } }),
    };
    const losses = { pretrain: pretrainLoss(config, settings), posttrain: posttrainLoss(config, settings) };
    const evals = { validate: validationEval(config, settings) };
    return expectSame({ weights: initSae(config, 0), optimizer, losses, evals }, batch);
  });
});

/** Takes a few steps of each loss and runs each evaluation, both ways. */
async function expectSame(options: StepperOptions, batch: Arrays): Promise<void> {
  const [eager, compiled] = [
    await results(new EagerStepper(options), options, batch),
    await results(new CompiledStepper(options), options, batch),
  ];
  expect(Object.keys(compiled)).toEqual(Object.keys(eager));
  for (const [name, values] of Object.entries(eager)) {
    expect(values.every(Number.isFinite), name).toBe(true);
    expectClose(compiled[name]!, values, 1e-4);
  }
}

async function results(stepper: Stepper, { losses, evals }: StepperOptions, batch: Arrays) {
  const numbers: Record<string, number[]> = {};
  for (const loss of Object.keys(losses)) {
    for (let i = 0; i < STEPS; i++) numbers[`${loss} ${i}`] = Object.values(stepper.step(loss, batch, 1e-3));
  }
  const { m, weights } = await stepper.readState();
  for (const [name, { data }] of Object.entries(m)) numbers[`m ${name}`] = [...data];
  for (const [name, { data }] of Object.entries(weights)) numbers[name] = [...data];
  for (const name of Object.keys(evals!)) {
    for (const [output, { data }] of Object.entries(await stepper.evaluate(name, batch)))
      numbers[`${name} ${output}`] = [...data];
  }
  stepper.dispose();
  return numbers;
}

function ids(max: number, ...shape: number[]) {
  const random = createRandom(3, 'ids', max);
  const size = shape.reduce((product, dimension) => product * dimension, 1);
  return { data: Int32Array.from({ length: size }, () => random.int(max)), shape };
}

function ones(...shape: number[]) {
  return { data: new Float32Array(shape.reduce((product, size) => product * size, 1)).fill(1), shape };
}

function oneHot(depth: number, indices: readonly number[]) {
  const data = new Float32Array(indices.length * depth);
  for (const [row, index] of indices.entries()) data[row * depth + index] = 1;
  return { data, shape: [indices.length, depth] };
}
