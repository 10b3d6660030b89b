/**
 * Milliseconds a training step takes at the sizes of the default recipe, one op after another and compiled. Usage:
 * `npx tsx bench/step.ts`; options: `--backend auto|native|wasm`, `--steps N` a case, `--cache DIR` (of the native
 * engine). The steppers of a case take turns, so that whatever else the machine does slows them alike.
 */

import { homedir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { resolveAlignmentSettings } from '../src/engine/contract/alignmentPresets.ts';
import type { Preset } from '../src/engine/contract/alignmentSettings.ts';
import type { Arrays } from '../src/engine/contract/arrays.ts';
import type { BackendChoice } from '../src/engine/contract/protocol.ts';
import type { SaeConfig } from '../src/engine/contract/sae.ts';
import { initWeights } from '../src/engine/model/languageModel.ts';
import { nextTokenLoss } from '../src/engine/model/loss.ts';
import { fullRoom, packBatch } from '../src/engine/model/packing.ts';
import { initSae } from '../src/engine/sae/autoencoder.ts';
import { posttrainLoss, pretrainLoss } from '../src/engine/sae/objective.ts';
import { createStepper } from '../src/engine/step/create.ts';
import { EagerStepper } from '../src/engine/step/eager.ts';
import type { AdamWSettings, LossFunction, Stepper } from '../src/engine/step/stepper.ts';
import { createRandom } from '../src/random.ts';
import { loadBenchBackend } from './backend.ts';

interface Case {
  name: string;
  weights: Arrays;
  optimizer: AdamWSettings;
  loss: LossFunction;
  batch: Arrays;
}

const { values: options } = parseArgs({
  options: {
    backend: { type: 'string', default: 'auto' },
    steps: { type: 'string', default: '60' },
    cache: { type: 'string', default: join(homedir(), '.cache', 'alignsae') },
  },
});

const D_MODEL = 64;
const D_VOCAB = 365;
const random = createRandom(0, 'bench');

const SAE: SaeConfig = {
  dModel: D_MODEL,
  nFree: 512,
  nConcepts: 6,
  activation: 'RELU',
  k: 32,
  valueHeads: { hidden: 256, dVocab: D_VOCAB },
};
const ADAM: AdamWSettings = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0, clipNorm: null };

await main();

async function main(): Promise<void> {
  const { backend } = await loadBenchBackend(options.backend as BackendChoice, options.cache);
  console.log(`backend ${backend}`);
  const cases = [
    languageModel(16),
    pretraining(),
    posttraining('PAPER', {}),
    posttraining('COUNTERFACTUAL', {
      partner: normal(252, D_MODEL),
      targets: oneHot(252, 6),
      paired: filled(252),
      silent: normal(64, D_MODEL),
    }),
  ];
  for (const each of cases) measure(each, backend === 'tensorflow');
}

/** d 64, 4 layers, 64 sequences of `T` tokens. */
function languageModel(T: number): Case {
  const config = {
    nLayers: 4,
    nHeads: 4,
    dModel: D_MODEL,
    dMlp: 256,
    nCtx: 32,
    dVocab: D_VOCAB,
    layerNormEps: 1e-5,
  };
  const sequences = Array.from({ length: 64 }, () => ({ tokens: [...ids(D_VOCAB, T + 1).data], from: 1 }));
  return {
    name: `language model, 64 × ${T} tokens`,
    weights: initWeights(config, 0.08, 0),
    optimizer: {
      beta1: 0.9,
      beta2: 0.98,
      epsilon: 1e-8,
      weightDecay: 0.1,
      decays: (name) => name.endsWith('.weight') && !name.includes('ln_'),
      clipNorm: 1,
    },
    loss: nextTokenLoss(config, T),
    batch: packBatch(sequences, fullRoom(64, T)),
  };
}

function pretraining(): Case {
  const loss = pretrainLoss(SAE, resolveAlignmentSettings({ preset: 'PAPER' }));
  return {
    name: 'SAE of 512 + 6, pre-training, 256 rows',
    weights: initSae(SAE, 0),
    optimizer: ADAM,
    loss,
    batch: { x: normal(256, D_MODEL) },
  };
}

/** 42 rows for each of 6 concepts. */
function posttraining(preset: Preset, more: Arrays): Case {
  const loss = posttrainLoss(SAE, resolveAlignmentSettings({ preset }));
  const batch = { x: normal(252, D_MODEL), concepts: oneHot(252, 6), answers: ids(D_VOCAB, 252), ...more };
  return { name: `SAE, post-training, ${preset}`, weights: initSae(SAE, 0), optimizer: ADAM, loss, batch };
}

function measure({ name, weights, optimizer, loss, batch }: Case, compiles: boolean): void {
  const stepperOptions = { weights, optimizer, losses: { loss } };
  const steppers: Record<string, Stepper> = { eager: new EagerStepper(stepperOptions) };
  if (compiles) steppers.compiled = createStepper(stepperOptions);
  const timed = Object.entries(steppers).map(([kind, stepper]) => {
    const step = () => {
      const started = performance.now();
      stepper.step('loss', batch, 1e-3);
      return performance.now() - started;
    };
    return { kind, step, first: step(), times: [] as number[] };
  });
  for (let i = 0; i < Number(options.steps); i++) for (const { step, times } of timed) times.push(step());
  for (const { kind, first, times } of timed) {
    times.sort((a, b) => a - b);
    const [least, median] = [times[0]!, times[times.length >> 1]!].map((ms) => ms.toFixed(1));
    console.log(
      `${name.padEnd(42)} ${kind.padEnd(9)} median ${median} ms, least ${least}, first ${first.toFixed(0)}`,
    );
  }
  for (const stepper of Object.values(steppers)) stepper.dispose();
}

function normal(...shape: number[]) {
  return { data: Float32Array.from({ length: size(shape) }, () => random.normal()), shape };
}

function ids(max: number, ...shape: number[]) {
  return { data: Int32Array.from({ length: size(shape) }, () => random.int(max)), shape };
}

function filled(length: number) {
  return { data: new Float32Array(length).fill(1), shape: [length] };
}

function oneHot(rows: number, depth: number) {
  const data = new Float32Array(rows * depth);
  for (let row = 0; row < rows; row++) data[row * depth + random.int(depth)] = 1;
  return { data, shape: [rows, depth] };
}

function size(shape: readonly number[]): number {
  return shape.reduce((product, dimension) => product * dimension, 1);
}
