/** A process that computes with a model of today's architecture and one of GPT-2's, and answers the hashes of it all. */
import { createHash } from 'node:crypto';
import { captureResidPost } from '../../../src/engine/align/capture.ts';
import type { ModelConfig } from '../../../src/engine/contract/model.ts';
import type { NativeAddon } from '../../../src/engine/contract/native.ts';
import { generate } from '../../../src/engine/model/generate.ts';
import { createLanguageModel, initWeights } from '../../../src/engine/model/languageModel.ts';
import { nextTokenLoss } from '../../../src/engine/model/loss.ts';
import { fullRoom, packBatch } from '../../../src/engine/model/packing.ts';
import { loadBackend } from '../../../src/engine/native/backend.ts';
import { createStepper } from '../../../src/engine/step/create.ts';
import { tinyTokenizer } from './tiny.ts';

const SIZES = { nLayers: 2, nHeads: 9, dModel: 576, dMlp: 1000, nCtx: 64, dVocab: 300, layerNormEps: 1e-5 };
const GROUPED: ModelConfig = {
  ...SIZES,
  decoder: {
    architecture: 'llama',
    norm: 'RMS',
    normsOutputs: false,
    parallel: false,
    rotary: { dims: 64, base: 10_000, scaling: null },
    attention: { nKeyValueHeads: 3, dHead: 64, cap: null, normsQueriesKeys: false, window: null },
    mlp: { activation: 'SILU', gated: true },
    biases: { queriesKeysValues: false, attentionOutput: false, mlp: false },
    embeddingScale: 1,
    logitCap: null,
    tied: true,
  },
};
const [B, T] = [12, 40];

process.once('message', async ({ addon }: { addon: NativeAddon }) => {
  await loadBackend('native', addon);
  const hashes = [...(await compute(GROUPED)), ...(await compute(SIZES))];
  process.send!(hashes, () => process.disconnect());
});

/** Of captured activations, of generated tokens with their probabilities, and of every weight after three steps. */
async function compute(config: ModelConfig): Promise<string[]> {
  const arrays = initWeights(config, 0.08, 1);
  const model = createLanguageModel(config, arrays, tinyTokenizer);
  const sequences = Array.from({ length: B }, (_, i) => [...rowOf(i)]);
  const captured = await captureResidPost(model, sequences, { layer: 1 });
  const generated = await generate(model, sequences, { maxNewTokens: 4 });
  model.dispose();
  const whole = sequences.map((tokens, i) => ({ tokens: tokens.slice(0, T - i), from: 1 }));
  const batch = packBatch(whole, fullRoom(B, T));
  const optimizer = { beta1: 0.9, beta2: 0.98, epsilon: 1e-8, weightDecay: 0.1, clipNorm: 1 };
  const stepper = createStepper({ weights: arrays, optimizer, losses: { loss: nextTokenLoss(config, T) } });
  for (let step = 0; step < 3; step++) stepper.step('loss', batch, 1e-3);
  const { weights } = await stepper.readState();
  stepper.dispose();
  const picks = generated.map(({ tokens }) => tokens.map(({ id, probability }) => [id, probability]));
  return [
    hashOf(captured),
    hashOf(JSON.stringify(picks)),
    ...Object.values(weights).map(({ data }) => hashOf(data)),
  ];
}

function rowOf(row: number): Int32Array {
  return Int32Array.from({ length: T }, (_, i) => (row * 7919 + i * 104_729) % SIZES.dVocab);
}

function hashOf(values: Float32Array | Int32Array | string): string {
  const bytes =
    typeof values === 'string' ? values : new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  return createHash('sha256').update(bytes).digest('hex');
}
