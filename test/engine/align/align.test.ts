import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { isAnswer } from '../../../src/data/answers.ts';
import { generateBiographies } from '../../../src/data/biography.ts';
import { runAlignment, runBaseline } from '../../../src/engine/align/align.ts';
import { splitPopulations } from '../../../src/engine/align/population.ts';
import type { AlignmentJob, AlignmentResult } from '../../../src/engine/contract/alignment.ts';
import { resolveAlignmentSettings } from '../../../src/engine/contract/alignmentPresets.ts';
import type { AlignmentSettingsInput } from '../../../src/engine/contract/alignmentSettings.ts';
import { resolveBaselineSettings } from '../../../src/engine/contract/baselineSettings.ts';
import type { EngineDataset } from '../../../src/engine/contract/dataset.ts';
import type { ModelRef } from '../../../src/engine/contract/model.ts';
import { modelSettings } from '../../../src/engine/contract/modelSettings.ts';
import { SWAP_METHODS, type SwapCall } from '../../../src/engine/contract/swap.ts';
import { swapConcept } from '../../../src/engine/edits/swapConcept.ts';
import { drawTrials } from '../../../src/engine/edits/trials.ts';
import { createLoadedPairs } from '../../../src/engine/loaded.ts';
import { trainModel } from '../../../src/engine/model/train.ts';
import { readSae } from '../../../src/engine/sae/file.ts';
import { readSafetensors, writeSafetensors } from '../../../src/formats/safetensors.ts';
import { loadTestBackend } from '../../helpers/engine.ts';
import { createRecorder, Killed, type Recorder } from '../model/recorder.ts';

const dataset = generateBiographies({ people: 10, seed: 3 });
let workDir: string;
let model: ModelRef;
let result: AlignmentResult;

/** The measures of a model that has barely learned to read are low; what they are measured on is what is tested. */
beforeAll(async () => {
  await loadTestBackend();
  workDir = await mkdtemp(join(tmpdir(), 'align-'));
  const settings = modelSettings.parse({
    nLayers: 2,
    dModel: 16,
    nHeads: 2,
    steps: 60,
    batchSize: 16,
    warmupSteps: 10,
  });
  const trained = await trainModel({ kind: 'MODEL', settings, dataset }, createRecorder(workDir));
  model = { weights: trained.weights.path, config: trained.config, tokenizer: trained.tokenizer };
  result = await run();
});
afterAll(() => rm(workDir, { recursive: true }));

function job(input: AlignmentSettingsInput = {}, data: EngineDataset = dataset): AlignmentJob {
  const settings = resolveAlignmentSettings({
    preset: 'COUNTERFACTUAL',
    layer: 1,
    nFree: 32,
    valueHidden: 16,
    pretrain: { steps: 10 },
    posttrain: { steps: 100 },
    alphas: [1, 2],
    swapTrials: 40,
    ...input,
  });
  return { kind: 'ALIGNMENT', settings, model, dataset: data };
}

const run = (...args: Parameters<typeof job>) => runAlignment(job(...args), createRecorder(workDir));

describe('an alignment', () => {
  test('measures every split with shares that fit together', () => {
    expect(result.measures.map(({ split, examples }) => [split, examples])).toEqual([
      ['TRAIN', 480],
      ['VALIDATION', 120],
      ['TEST_OOD', 240],
    ]);
    for (const measures of result.measures) {
      expect(measures.matrix.map((row) => row.reduce((sum, share) => sum + share, 0))).toEqual(
        new Array(6).fill(expect.closeTo(1, 6)),
      );
      expect(measures.conceptAccuracy).toEqual(measures.matrix.map((row, k) => row[k]));
      expect(measures.accuracy).toBeCloseTo(measures.diagonalStrength, 6); // as many prompts a concept
      expect(measures.diagonalAccuracy).toBeGreaterThanOrEqual(measures.diagonalStrength);
      expect(measures.top5).toBeGreaterThanOrEqual(measures.top3);
      expect(measures.top3).toBeGreaterThanOrEqual(measures.accuracy);
      for (const share of [measures.fvu, measures.deadLatents, measures.valueAccuracy]) {
        expect(share).toBeGreaterThanOrEqual(0);
        expect(share).toBeLessThanOrEqual(1);
      }
    }
    expect(result.dModel).toBe(16);
  });

  test('chooses alpha on validation entities and reports it on the others, beside the control', () => {
    const { swaps, chosenAlpha } = result;
    const chosen = swaps.filter(({ population }) => population === 'VALIDATION');
    expect(chosen.map(({ alpha, split, control }) => [alpha, split, control])).toEqual([
      [1, 'VALIDATION', 'CONCEPT'],
      [2, 'VALIDATION', 'CONCEPT'],
    ]);
    const best = Math.max(...chosen.map(({ successes }) => successes));
    expect(chosen.find(({ alpha }) => alpha === chosenAlpha)!.successes).toBe(best);
    const reported = swaps.filter(({ population }) => population !== 'VALIDATION');
    expect(new Set(reported.map(({ alpha }) => alpha))).toEqual(new Set([chosenAlpha]));
    expect(reported.map(({ population, split, control }) => `${population} ${split} ${control}`)).toEqual([
      'UNSEEN TRAIN CONCEPT',
      'UNSEEN TRAIN RANDOM_LATENT',
      'UNSEEN TRAIN TRUE_ACTIVATION',
      'UNSEEN TRAIN SUM',
      'UNSEEN VALIDATION CONCEPT',
      'UNSEEN VALIDATION RANDOM_LATENT',
      'UNSEEN VALIDATION TRUE_ACTIVATION',
      'UNSEEN VALIDATION SUM',
      'UNSEEN TEST_OOD CONCEPT',
      'UNSEEN TEST_OOD RANDOM_LATENT',
      'UNSEEN TEST_OOD TRUE_ACTIVATION',
      'UNSEEN TEST_OOD SUM',
      'SEEN TRAIN CONCEPT',
      'SEEN VALIDATION CONCEPT',
      'SEEN TEST_OOD CONCEPT',
    ]);
    expect(reported.every(({ trials }) => trials > 0 && trials <= 40)).toBe(true);
  });

  test('reports each slot with held-out prompts and tokens in descending order', () => {
    const heldOut = new Set(dataset.prompts.filter((p) => p.split === 'TEST_OOD').map(({ id }) => id));
    expect(result.slots.map(({ index, concept }) => index - concept)).toEqual(new Array(6).fill(32));
    for (const { topExamples, topTokens } of result.slots) {
      expect(topExamples).toHaveLength(10);
      expect(topTokens).toHaveLength(10);
      expect(topExamples.every(({ promptId }) => heldOut.has(promptId))).toBe(true);
      const descends = (values: number[]) => values.every((v, i) => i === 0 || v <= values[i - 1]!);
      expect(descends(topExamples.map(({ activation }) => activation))).toBe(true);
      expect(descends(topTokens.map(({ score }) => score))).toBe(true);
    }
  });

  test('goes on from a checkpoint to the same result', async () => {
    const [first, second] = [join(workDir, 'killed'), join(workDir, 'resumed')];
    await Promise.all([mkdir(first), mkdir(second)]);
    const killed = createRecorder(first, { checkpointAt: [30], killAt: 40 });
    await expect(runAlignment(job(), killed)).rejects.toThrow(Killed);
    const resumeFrom = killed.checkpoints[0]!.file.path;
    const resumed = await runAlignment(job(), createRecorder(second, { resumeFrom }));
    const { path: _, ...file } = resumed.weights;
    expect({ ...resumed, weights: file }).toEqual({
      ...result,
      weights: { sha256: result.weights.sha256, bytes: result.weights.bytes },
    });
  });

  test.each(['ALIGNMENT', 'BASELINE'] as const)(
    'of kind %s goes on with its own model alone, wherever that lies',
    async (kind) => {
      const resolved = resolveBaselineSettings({ layer: 1, nFree: 32, steps: 30 }, 6);
      const start = (ref: ModelRef, recorder: Recorder) =>
        kind === 'ALIGNMENT'
          ? runAlignment({ ...job({ posttrain: { steps: 20 } }), model: ref }, recorder)
          : runBaseline({ kind, settings: resolved, model: ref, dataset }, recorder);
      const killed = createRecorder(workDir, { checkpointAt: [20], killAt: 25 });
      await expect(start(model, killed)).rejects.toThrow(Killed);
      const resumeFrom = killed.checkpoints[0]!.file.path;
      const { arrays } = await readSafetensors(model.weights);
      const moved = await writeSafetensors(join(workDir, `moved-${kind}.safetensors`), arrays);
      const resumed = createRecorder(workDir, { resumeFrom });
      await start({ ...model, weights: moved.path }, resumed);
      expect(resumed.rows[0]!.step).toBeGreaterThan(20);
      const other = {
        ...arrays,
        'ln_f.bias': { ...arrays['ln_f.bias']!, data: new Float32Array(16).fill(1) },
      };
      const changed = await writeSafetensors(model.weights.replace('.safetensors', '-2.safetensors'), other);
      const refused = start({ ...model, weights: changed.path }, createRecorder(workDir, { resumeFrom }));
      await expect(refused).rejects.toMatchObject({ code: 'CONFLICT' });
    },
  );

  test('on whole answers counts what swaps at every token of the answer give one by one', async () => {
    const trained = await run({ positions: 'ANSWER', posttrain: { steps: 60 } });
    const measured = trained.swaps.find(
      ({ population, split, control }) => `${population} ${split} ${control}` === 'SEEN TRAIN CONCEPT',
    )!;
    const { settings } = job();
    const { prompts, populationOf } = splitPopulations(dataset, settings);
    const seen = prompts.filter((p) => populationOf(p.entity) === 'SEEN' && p.split === 'TRAIN');
    const asked = seen.map((prompt) => ({ ...prompt, h: new Float32Array(0) }));
    const drawn = drawTrials(asked, dataset.facts, {
      ...{ count: settings.swapTrials, seed: settings.seed, stream: 'SEEN/TRAIN' },
    });
    const pairs = createLoadedPairs(2 ** 30);
    let successes = 0;
    for (const { prompt, source, target, expected } of drawn) {
      const call = { prompt, source, target, alpha: trained.chosenAlpha!, alphaLater: 1, maxNewTokens: 8 };
      const { result: answer } = await pairs.use(model, trained.weights.path, (pair) =>
        swapConcept(pair, { ...call, method: 'LATENT_DECODE', placement: 'ANSWER' }),
      );
      if (isAnswer(answer.text, expected)) successes++;
    }
    pairs.dispose();
    expect(drawn).toHaveLength(measured.trials);
    expect(measured.successes).toBe(successes);
    expect(trained.weights.sha256).not.toBe(result.weights.sha256);
  });

  test('leaves no tensor behind, nor when it fails midway', async () => {
    const counts = () => [tf.memory().numTensors, tf.engine().backend.numDataIds()];
    const before = counts();
    await run({ posttrain: { steps: 20 } });
    await expect(runAlignment(job(), createRecorder(workDir, { killAt: 20 }))).rejects.toThrow(Killed);
    expect(counts()).toEqual(before);
  });

  test('of a dataset without facts binds and leaves swaps out', async () => {
    const { measures, swaps, chosenAlpha } = await run(
      { posttrain: { steps: 20 } },
      { ...dataset, facts: [] },
    );
    expect(measures).toHaveLength(3);
    expect([swaps, chosenAlpha]).toEqual([[], null]);
  });

  test('of prompts that only say what they are about binds, without heads, swaps or answers to keep', async () => {
    const prompts = dataset.prompts.map((prompt) => ({ ...prompt, answer: null, entity: prompt.prompt }));
    const labelled = { ...dataset, prompts, facts: [], texts: [] };
    const { measures, swaps, faithfulness } = await run({ posttrain: { steps: 20 } }, labelled);
    expect(measures.map(({ valueAccuracy }) => valueAccuracy)).toEqual([null, null, null]);
    expect([swaps, faithfulness]).toEqual([[], []]);
    await expect(run({ mode: 'SEPARATE_VALUE' }, labelled)).rejects.toMatchObject({
      code: 'INVALID_INPUT',
      path: ['settings', 'mode'],
    });
  });

  test('of a dataset with one split and without texts takes training prompts for the rest', async () => {
    const prompts = dataset.prompts.filter(({ split }) => split === 'TRAIN');
    const settings = { posttrain: { steps: 20 }, everyAlpha: true };
    const single = await run(settings, { ...dataset, prompts, texts: [] });
    expect(single.measures.map(({ split }) => split)).toEqual(['TRAIN']);
    expect(new Set(single.swaps.map(({ split }) => split))).toEqual(new Set(['TRAIN']));
    expect(single.chosenAlpha).not.toBeNull();
    const alphasOf = (population: string, control: string) =>
      single.swaps.flatMap((swap) =>
        swap.population === population && swap.control === control ? [swap.alpha] : [],
      );
    expect(alphasOf('UNSEEN', 'CONCEPT').sort()).toEqual([1, 2]);
    expect(alphasOf('UNSEEN', 'RANDOM_LATENT')).toEqual([single.chosenAlpha]);
    expect(alphasOf('SEEN', 'CONCEPT')).toEqual([single.chosenAlpha]);
  });

  test('without a value term has no value accuracy', async () => {
    const { measures } = await run({ posttrain: { steps: 20 }, mode: 'SEPARATE_ACTIVATION' });
    expect(measures.map(({ valueAccuracy }) => valueAccuracy)).toEqual([null, null, null]);
  });

  test('whose answers begin with few of many tokens has heads that tell those apart', async () => {
    const words = ['january', 'march', 'june'];
    const prompts = dataset.prompts.map((prompt) => ({ ...prompt, answer: words[prompt.concepts[0]! % 3]! }));
    const { measures, weights } = await run({}, { ...dataset, prompts });
    const { config } = await readSae(weights.path);
    expect(config.valueHeads).toMatchObject({ hidden: 16, dVocab: 3 });
    expect(config.valueHeads!.tokens).toHaveLength(3);
    // A concept has one answer here, so its head can name it whatever the slot says.
    for (const { valueAccuracy } of measures) expect(valueAccuracy).toBe(1);
  });

  const twoHop = dataset.prompts.map((prompt) => ({ ...prompt, concepts: [0, 1] }));
  const noEmployer = dataset.prompts.filter(({ concepts }) => concepts[0] !== 4);
  test.each<[string, AlignmentSettingsInput, Partial<EngineDataset>, string[], string]>([
    [
      'a layer above the model',
      { layer: 2 },
      {},
      ['settings', 'layer'],
      'layer must be -1 (before the first block) to 1',
    ],
    [
      'no training prompt',
      {},
      { prompts: dataset.prompts.filter((p) => p.split !== 'TRAIN') },
      ['dataset'],
      'TRAIN',
    ],
    ['prompts of two concepts alone', {}, { prompts: twoHop }, ['dataset'], 'one concept'],
    ['a concept without prompts', {}, { prompts: noEmployer }, ['dataset'], '"employer"'],
  ])('refuses %s before any work', async (_, input, part, path, message) => {
    const recorder = createRecorder(workDir);
    const refused = runAlignment(job(input, { ...dataset, ...part }), recorder);
    await expect(refused).rejects.toMatchObject({ code: 'INVALID_INPUT', path });
    await expect(refused).rejects.toThrow(message);
    expect(recorder.progressed).toEqual([]);
  });

  test('refuses silence where every position asks', async () => {
    const prompts = dataset.prompts.map((prompt) => ({ ...prompt, prompt: 'where' }));
    const recorder = createRecorder(workDir);
    const refused = runAlignment(
      job({ weights: { silence: 1 } }, { ...dataset, prompts, texts: [] }),
      recorder,
    );
    await expect(refused).rejects.toMatchObject({
      code: 'INVALID_INPUT',
      path: ['settings', 'weights', 'silence'],
      message: expect.stringContaining('TRAIN texts, or prompts of several tokens'),
    });
    expect(recorder.rows).toEqual([]);
  });
});

describe('one swap', () => {
  const pairs = createLoadedPairs(2 ** 30);
  const swap = (given: SwapCall) => pairs.use(given.model, given.sae, (pair) => swapConcept(pair, given));
  afterAll(() => pairs.dispose());
  const question = dataset.prompts.find(({ concepts }) => concepts[0] === 1)!;
  const call = (more: object = {}) => ({
    model,
    sae: result.weights.path,
    prompt: question.prompt,
    source: 1,
    target: 2,
    method: 'LATENT_DECODE' as const,
    alpha: 1.5,
    maxNewTokens: 4,
    placement: 'LAST_TOKEN' as const,
    ...more,
  });

  test('answers with both continuations, their probabilities and the slots', async () => {
    const answer = await swap(call());
    expect(answer).toMatchObject({ source: 1, target: 2 });
    for (const { text, tokens } of [answer.baseline, answer.result]) {
      expect(tokens.length).toBeLessThanOrEqual(4);
      expect(tokens.map((token) => token.text).join('')).toBe(text);
      for (const { probability } of tokens) expect(probability).toBeGreaterThan(0);
    }
    expect(answer.slots.map(({ index, concept }) => index - concept)).toEqual(new Array(6).fill(32));
    expect(answer.slots[1]!.after).toBe(0);
    expect(answer.slots[2]!.after).toBe(1.5);
    expect(answer.slots[3]!.after).toBe(answer.slots[3]!.before);
  });

  test('takes the strongest slot where no source is named', async () => {
    const { slots } = await swap(call());
    const strongest = slots.reduce((best, slot) => (slot.before > best.before ? slot : best)).concept;
    const answer = await swap(call({ source: null, target: (strongest + 1) % 6 }));
    expect(answer.source).toBe(strongest);
  });

  test.each(SWAP_METHODS)('works by %s', async (method) => {
    const { result } = await swap(call({ method, alpha: 5 }));
    expect(result.tokens.every(({ probability }) => probability > 0 && probability <= 1)).toBe(true);
  });

  test.each<[object, string[], string]>([
    [{ target: 6 }, ['target'], '0 to 5'],
    [{ source: -1 }, ['source'], '0 to 5'],
    [{ source: 2 }, ['target'], 'must differ'],
    [{ prompt: '' }, ['prompt'], 'got 0'],
    [{ prompt: 'what '.repeat(40) }, ['prompt'], 'got 40'],
  ])('%j is refused with its path', async (more, path, message) => {
    const refused = swap(call(more));
    await expect(refused).rejects.toMatchObject({ code: 'INVALID_INPUT', path });
    await expect(refused).rejects.toThrow(message);
  });

  test('refuses a file that is no SAE', async () => {
    await expect(swap(call({ sae: model.weights }))).rejects.toMatchObject({ code: 'INVALID_INPUT' });
  });
});

describe('populations and trials', () => {
  const settings = resolveAlignmentSettings({ unseenShare: 0.2, validationShare: 0.1 });

  test('share out the entities by the seed', () => {
    const populations = splitPopulations(dataset, settings);
    expect(populations.entities).toEqual({ UNSEEN: 2, VALIDATION: 1, SEEN: 7 });
    const names = (seed: number) => {
      const { prompts, populationOf } = splitPopulations(dataset, { ...settings, seed });
      return prompts.filter(({ entity }) => populationOf(entity) === 'UNSEEN').map(({ entity }) => entity);
    };
    expect(names(0)).toEqual(names(0));
    expect(names(1)).not.toEqual(names(0));
  });

  test('never ask for what the entity has no fact of, nor where the answers coincide', () => {
    const prompt = {
      ...dataset.prompts[0]!,
      entity: 'x',
      answer: 'Oslo',
      concepts: [1],
      h: new Float32Array(1),
    };
    const facts = [
      { entity: 'x', concept: 1, value: 'Oslo' },
      { entity: 'x', concept: 5, value: ' OSLO ' },
      { entity: 'x', concept: 2, value: 'Aldham' },
      { entity: 'y', concept: 3, value: 'physics' },
    ];
    const trials = drawTrials([prompt], facts, { count: 10, seed: 0, stream: '' });
    expect(trials).toMatchObject([{ source: 1, target: 2, expected: ['Aldham'] }]);
  });

  test('are spread over prompts before targets, all different and no more than asked for', () => {
    const prompts = dataset.prompts.slice(0, 12).map((p) => ({ ...p, h: new Float32Array(1) }));
    const draw = (count: number) => drawTrials(prompts, dataset.facts, { count, seed: 0, stream: '' });
    expect(new Set(draw(12).map(({ prompt }) => prompt)).size).toBe(12);
    const all = draw(1000);
    expect(new Set(all.map(({ prompt, target }) => `${prompt} ${target}`)).size).toBe(all.length);
    expect(all.every(({ source, target }) => source !== target)).toBe(true);
  });
});
