/** SAEs that learn from the activations at every position of a corpus. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { generateBiographies } from '../../../src/data/biography.ts';
import { runAlignment, runBaseline } from '../../../src/engine/align/align.ts';
import { captureResidPost } from '../../../src/engine/align/capture.ts';
import type { AlignmentJob } from '../../../src/engine/contract/alignment.ts';
import { resolveAlignmentSettings } from '../../../src/engine/contract/alignmentPresets.ts';
import type { AlignmentSettingsInput } from '../../../src/engine/contract/alignmentSettings.ts';
import { resolveBaselineSettings } from '../../../src/engine/contract/baselineSettings.ts';
import type { CorpusRef } from '../../../src/engine/contract/corpus.ts';
import type { ModelRef } from '../../../src/engine/contract/model.ts';
import { modelSettings } from '../../../src/engine/contract/modelSettings.ts';
import { loadLanguageModel } from '../../../src/engine/model/languageModel.ts';
import { trainModel } from '../../../src/engine/model/train.ts';
import { loadSae } from '../../../src/engine/sae/sae.ts';
import { writeCorpus } from '../../../src/formats/corpusFile.ts';
import { createRandom } from '../../../src/random.ts';
import { loadTestBackend } from '../../helpers/engine.ts';
import { createRecorder, Killed } from '../model/recorder.ts';

const dataset = generateBiographies({ people: 12, seed: 3 });
/** Of the words that the model knows, in an order that says nothing. */
const words = [...new Set(dataset.texts.flatMap(({ text }) => text.split(' ')))].sort();
const random = createRandom(1, 'babble');
const babble = () =>
  Array.from({ length: 5 + random.int(15) }, () => words[random.int(words.length)]).join(' ');
const unseen = Array.from({ length: 60 }, babble);

let workDir: string;
let model: ModelRef;
let corpus: CorpusRef;
beforeAll(async () => {
  await loadTestBackend();
  workDir = await mkdtemp(join(tmpdir(), 'texts-'));
  const small = { nLayers: 2, dModel: 32, nHeads: 2, steps: 250, batchSize: 32, warmupSteps: 10 };
  const trained = await trainModel(
    { kind: 'MODEL', settings: modelSettings.parse({ ...small, learningRate: 1e-2 }), dataset },
    createRecorder(workDir),
  );
  model = { weights: trained.weights.path, config: trained.config, tokenizer: trained.tokenizer };
  async function* documents() {
    for (let i = 0; i < 200; i++) yield babble();
  }
  const { file } = await writeCorpus(join(workDir, 'corpus'), documents());
  corpus = { path: file.path, hash: file.sha256 };
});
afterAll(() => rm(workDir, { recursive: true }));

const job = (input: AlignmentSettingsInput): AlignmentJob => ({
  ...{ kind: 'ALIGNMENT', model, dataset, corpus },
  settings: resolveAlignmentSettings({
    ...{ preset: 'COUNTERFACTUAL', layer: 0, nFree: 64, swapTrials: 5, alphas: [1], logEvery: 1 },
    ...{ pretrain: { steps: 40, batchSize: 64 }, posttrain: { steps: 150, batchSize: 64 } },
    ...{ texts: { bufferRows: 500, contextLength: 16 }, ...input },
  }),
});

/** How often a slot is on (above .5) at positions of texts that nothing learned from. */
async function firesOn(sae: string): Promise<number> {
  const language = await loadLanguageModel(model);
  const loaded = await loadSae(sae);
  const tokens = unseen.map((text) => language.tokenizer.encode(text));
  const positions = tokens.map((ids) => ids.map((_, position) => position));
  const h = await captureResidPost(language, tokens, { layer: 0, positions });
  const slots = loaded.slots(h);
  const rows = slots.length / 6;
  const fired = Array.from({ length: rows }, (_, i) => Math.max(...slots.subarray(6 * i, 6 * i + 6)) > 0.5);
  language.dispose();
  loaded.dispose();
  return fired.filter(Boolean).length / rows;
}

test('slots stay silent on texts when silence learns from texts of their kind', async () => {
  const common = {
    ...{ weights: { silence: 10 }, silentRows: 128, posttrain: { steps: 500, batchSize: 64 } },
    texts: { bufferRows: 500, contextLength: 16 },
  };
  const without = await runAlignment(job(common), createRecorder(workDir));
  const withoutFires = await firesOn(without.weights.path);
  const taught = await runAlignment(job({ ...common, silenceOn: 'TEXTS' }), createRecorder(workDir));
  const taughtFires = await firesOn(taught.weights.path);
  expect(withoutFires).toBeGreaterThan(0.02);
  expect(taughtFires).toBeLessThan(0.75 * withoutFires);
});

test('an alignment on texts goes on from a checkpoint of either stage to the same result', async () => {
  const settings = { pretrainOn: 'TEXTS', silenceOn: 'TEXTS' } as const;
  const whole = await runAlignment(job(settings), createRecorder(workDir));
  const before = [tf.memory().numTensors, tf.engine().backend.numDataIds()];
  for (const [checkpointAt, killAt] of [
    [25, 33],
    [99, 140],
  ] as const) {
    const killed = createRecorder(workDir, { checkpointAt: [checkpointAt], killAt });
    await expect(runAlignment(job(settings), killed)).rejects.toThrow(Killed);
    const resumeFrom = killed.checkpoints[0]!.file.path;
    expect(await runAlignment(job(settings), createRecorder(workDir, { resumeFrom }))).toEqual(whole);
  }
  expect([tf.memory().numTensors, tf.engine().backend.numDataIds()]).toEqual(before);
});

test('a checkpoint of a run on another corpus is refused', async () => {
  const settings = { pretrainOn: 'TEXTS' } as const;
  const killed = createRecorder(workDir, { checkpointAt: [25], killAt: 33 });
  await expect(runAlignment(job(settings), killed)).rejects.toThrow(Killed);
  const resumed = createRecorder(workDir, { resumeFrom: killed.checkpoints[0]!.file.path });
  const other = { ...job(settings), corpus: { ...corpus, hash: 'another' } };
  await expect(runAlignment(other, resumed)).rejects.toMatchObject({ code: 'CONFLICT' });
});

test('a baseline on texts rebuilds texts better than one on prompts does', async () => {
  const common = { layer: 0, nFree: 64, steps: 300, batchSize: 64, sparse: 0.1 };
  const errorOn = async (trainOn: 'PROMPTS' | 'TEXTS') => {
    const texts = { bufferRows: 500, contextLength: 16 };
    const settings = resolveBaselineSettings({ ...common, trainOn, texts }, 6);
    const trained = await runBaseline(
      { kind: 'BASELINE', model, dataset, settings, corpus },
      createRecorder(workDir),
    );
    const language = await loadLanguageModel(model);
    const sae = await loadSae(trained.weights.path);
    const tokens = unseen.map((text) => language.tokenizer.encode(text));
    const positions = tokens.map((ids) => ids.map((_, position) => position));
    const h = await captureResidPost(language, tokens, { layer: 0, positions });
    const rebuilt = sae.reconstruct(h);
    language.dispose();
    sae.dispose();
    return h.reduce((sum, value, i) => sum + (value - rebuilt[i]!) ** 2, 0);
  };
  expect(await errorOn('TEXTS')).toBeLessThan(0.7 * (await errorOn('PROMPTS')));
});
