import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { sameAnswer } from '../../../src/data/answers.ts';
import { generateBiographies } from '../../../src/data/biography.ts';
import { runAlignment, runBaseline } from '../../../src/engine/align/align.ts';
import { captureResidPost } from '../../../src/engine/align/capture.ts';
import { capturePrompts } from '../../../src/engine/align/captured.ts';
import { splitPopulations } from '../../../src/engine/align/population.ts';
import { createWithheld } from '../../../src/engine/align/withheld.ts';
import type { SwapMeasure } from '../../../src/engine/contract/alignment.ts';
import { resolveAlignmentSettings } from '../../../src/engine/contract/alignmentPresets.ts';
import { resolveBaselineSettings } from '../../../src/engine/contract/baselineSettings.ts';
import {
  type EngineDataset,
  isQuestion,
  type Prompt,
  SPLITS,
  type Split,
} from '../../../src/engine/contract/dataset.ts';
import { knowledgeSettings } from '../../../src/engine/contract/knowledge.ts';
import { modelSettings } from '../../../src/engine/contract/modelSettings.ts';
import { SWAP_METHODS, type SwapMethod, swapMethod } from '../../../src/engine/contract/swap.ts';
import type { SwapSweepJob, SweepBaseline, SweepCell } from '../../../src/engine/contract/swapSweep.ts';
import {
  type SweepSettings,
  type SweepSettingsInput,
  sweepControl,
  sweepSettings,
} from '../../../src/engine/contract/swapSweepSettings.ts';
import { continueAll } from '../../../src/engine/edits/answers.ts';
import { armedEdit, armedHook } from '../../../src/engine/edits/armed.ts';
import { freeScales } from '../../../src/engine/edits/controls.ts';
import { applyEdits } from '../../../src/engine/edits/edit.ts';
import { createEditor, randomSwap, slotSwap } from '../../../src/engine/edits/editors.ts';
import { evaluateSwaps } from '../../../src/engine/edits/evaluation.ts';
import { runKnowledge } from '../../../src/engine/edits/measureKnowledge.ts';
import { METHODS, type Swap } from '../../../src/engine/edits/methods.ts';
import { createRowEdits } from '../../../src/engine/edits/rows.ts';
import { sumsOf } from '../../../src/engine/edits/sums.ts';
import { swapConcept } from '../../../src/engine/edits/swapConcept.ts';
import { runSwapSweep } from '../../../src/engine/edits/sweep.ts';
import { indexTargetPrompts } from '../../../src/engine/edits/targetPrompts.ts';
import {
  choosePrompts,
  drawIsolationCases,
  drawSweepTrials,
  drawTrials,
  type ISOLATION_KINDS,
  type SwapTrial,
} from '../../../src/engine/edits/trials.ts';
import { generate } from '../../../src/engine/model/generate.ts';
import { type LanguageModel, loadLanguageModel } from '../../../src/engine/model/languageModel.ts';
import { trainModel } from '../../../src/engine/model/train.ts';
import { readSae } from '../../../src/engine/sae/file.ts';
import { loadSae, Sae } from '../../../src/engine/sae/sae.ts';
import { createRandom, type Random } from '../../../src/random.ts';
import { loadTestBackend } from '../../helpers/engine.ts';
import { handmadeSae } from '../align/handmade.ts';
import { createRecorder } from '../model/recorder.ts';

const dataset = generateBiographies({ people: 10, seed: 3 });
const PAIRS = [
  { source: 0, target: 1 },
  { source: 2, target: 3 },
];
let workDir: string;
let studied: Pick<SwapSweepJob, 'model' | 'sae'>;
let evaluated: SwapMeasure[];

/** Trained just enough that some swaps succeed and some fail. */
beforeAll(async () => {
  await loadTestBackend();
  workDir = await mkdtemp(join(tmpdir(), 'sweep-'));
  const settings = modelSettings.parse({ nLayers: 2, dModel: 32, nHeads: 2, steps: 250, batchSize: 32 });
  const trained = await trainModel({ kind: 'MODEL', settings, dataset }, createRecorder(workDir));
  const model = { weights: trained.weights.path, config: trained.config, tokenizer: trained.tokenizer };
  const alignment = resolveAlignmentSettings({
    ...{ preset: 'COUNTERFACTUAL', nFree: 32, valueHidden: 16, alphas: [1], swapTrials: 10 },
    ...{ pretrain: { steps: 30 }, posttrain: { steps: 300 }, weights: { silence: 5 } },
  });
  const job = { kind: 'ALIGNMENT', settings: alignment, model, dataset } as const;
  const { weights, swaps } = await runAlignment(job, createRecorder(workDir));
  studied = { model, sae: weights.path };
  evaluated = swaps;
});
afterAll(() => rm(workDir, { recursive: true }));

function settingsOf(input: SweepSettingsInput = {}): SweepSettings {
  return sweepSettings.parse({
    ...{ methods: ['LATENT_DECODE', 'DECODER_PAIR'], alphas: [1, 3], controls: ['RANDOM_LATENT'] },
    ...{ population: 'SEEN', promptsPerPair: 6, isolationPerPair: 6 },
    ...input,
  }) as SweepSettings;
}

async function sweep(
  input: SweepSettingsInput = {},
  done: readonly number[] = [],
  baseline: SweepBaseline | null = null,
  of = dataset,
): Promise<SweepCell[]> {
  const recorder = createRecorder(workDir);
  const job = { kind: 'SWAP_SWEEP', ...studied, baseline, dataset: of, pairs: PAIRS, done } as const;
  await runSwapSweep({ ...job, settings: settingsOf(input) }, recorder);
  return recorder.cells;
}

describe('a swap sweep', () => {
  test.each(['LAST_TOKEN', 'ARMED'] as const)(
    'says how many edits it took, whichever attempt made them (%s)',
    async (placement) => {
      const editsOf = async (done: readonly number[]) => {
        const job = { kind: 'SWAP_SWEEP', ...studied, baseline: null, dataset, pairs: PAIRS, done } as const;
        const settings = settingsOf({ methods: ['LATENT_DELTA', 'MEAN_DIFFERENCE'], placement });
        return (await runSwapSweep({ ...job, settings }, createRecorder(workDir))).edits;
      };
      const edits = await editsOf([]);
      expect(edits).toBeGreaterThan(0);
      expect(await editsOf([0, 3])).toBe(edits);
      expect(await editsOf([0, 1, 2, 3])).toBe(edits);
    },
  );

  test('measures every method at every alpha, for the slots and for the controls', async () => {
    const cells = await sweep({ methods: ['LATENT_DELTA', 'MEAN_DIFFERENCE'], controls: ['RANDOM_LATENT'] });
    expect(cells.map(({ position, edited, method, alpha }) => [position, edited, method, alpha])).toEqual([
      [0, 'CONCEPT', 'LATENT_DELTA', 1],
      [1, 'CONCEPT', 'LATENT_DELTA', 3],
      [2, 'RANDOM_LATENT', 'LATENT_DELTA', 1],
      [3, 'RANDOM_LATENT', 'LATENT_DELTA', 3],
      [4, 'MEAN_DIFFERENCE', 'MEAN_DIFFERENCE', 1],
      [5, 'MEAN_DIFFERENCE', 'MEAN_DIFFERENCE', 3],
    ]);
    for (const { trials, successes, pairs, otherPrompts, texts, statements } of cells) {
      expect(pairs.map(({ source, target, trials }) => ({ source, target, trials }))).toEqual(
        PAIRS.map((pair) => ({ ...pair, trials: 6 })),
      );
      expect(trials).toBe(12);
      expect(successes).toBe(pairs.reduce((sum, pair) => sum + pair.successes, 0));
      expect([otherPrompts, texts, statements]).toEqual([12, 12, 12]);
    }
  });

  test.each(['LATENT_DECODE', 'DECODER_PAIR'] as const)(
    'counts what swaps one by one give: %s',
    async (method) => {
      const cells = await sweep({
        methods: [method],
        alphas: [0.5, 1],
        controls: [],
        split: 'TRAIN',
        promptsPerPair: 20,
      });
      const counted = await Promise.all([0.5, 1].map((alpha) => countOneByOne(method, alpha)));
      expect(cells.map(({ successes }) => successes)).toEqual(counted);
      expect(Math.max(...counted)).toBeGreaterThan(0);
      expect(Math.min(...counted)).toBeLessThan(40);
    },
  );

  test('finds the same isolation as running every armed swap, also those that never fire', async () => {
    const input = { methods: ['LATENT_DECODE'], alphas: [3], controls: [], isolationPerPair: 20 } as const;
    const [cell] = await sweep({ ...input, methods: [...input.methods], alphas: [3], controls: [] });
    const kept = await isolateAll(
      settingsOf({ ...input, methods: ['LATENT_DECODE'], alphas: [3], controls: [] }),
    );
    const { otherPromptsKept, textsKept, statementsKept } = cell!;
    expect([otherPromptsKept, textsKept, statementsKept]).toEqual([kept.PROMPT, kept.TEXT, kept.STATEMENT]);
    expect(kept.STATEMENT).toBeLessThan(40);
    expect(kept.TEXT).toBeGreaterThan(kept.STATEMENT);
  });

  test('goes on where an earlier attempt stopped, with the same numbers', async () => {
    const whole = await sweep();
    const rest = await sweep({}, [0, 1, 2, 5]);
    expect(rest).toEqual(whole.filter(({ position }) => ![0, 1, 2, 5].includes(position)));
  });

  test('with edits armed everywhere is its own measure, and isolation stays what it is', async () => {
    const [placed] = await sweep({ methods: ['LATENT_DECODE'], controls: [], split: 'TRAIN' });
    const [armed] = await sweep({
      methods: ['LATENT_DECODE'],
      controls: [],
      split: 'TRAIN',
      placement: 'ARMED',
    });
    expect(armed!.trials).toBe(placed!.trials);
    expect([armed!.otherPromptsKept, armed!.textsKept]).toEqual([
      placed!.otherPromptsKept,
      placed!.textsKept,
    ]);
  });

  test('at every token of the answer finds what swaps one by one find', async () => {
    const input = { split: 'TRAIN', placement: 'ANSWER', alphas: [0.5, 2], controls: [] } as const;
    const asked = { ...input, alphas: [...input.alphas], controls: [], promptsPerPair: 10 };
    const methods: SwapMethod[] = ['LATENT_DECODE', 'MEAN_DIFFERENCE'];
    const cells = await sweep({ ...asked, methods });
    const { model, sae } = await load();
    const settings = settingsOf({ ...asked, methods });
    const trials = drawSweepTrials(choosePrompts(dataset, sae.settings, settings), dataset, PAIRS, settings);
    for (const { method: named, alpha, successes } of cells) {
      const method = swapMethod.parse(named);
      let counted = 0;
      for (const { pair, prompt, expected } of trials) {
        const call = { ...PAIRS[pair]!, prompt: prompt.prompt, method, alpha, alphaLater: 1 };
        const { result } = await swapConcept(
          { model, sae },
          { ...call, placement: 'ANSWER', maxNewTokens: 8 },
        );
        if (expected.some((value) => sameAnswer(result.text, value))) counted++;
      }
      expect([method, alpha, successes]).toEqual([method, alpha, counted]);
    }
    expect(cells).toHaveLength(4);
    expect(Math.max(...cells.map(({ successes }) => successes))).toBeGreaterThan(0);
    tf.dispose([model.weights, sae.weights]);
  });

  test('measures what replaces activations once, last, at the tokens of the placement', async () => {
    const controls = ['SUM', 'TRUE_ACTIVATION', 'MEAN_DIFFERENCE'] as const;
    const input = { controls: [...controls], methods: ['LATENT_DECODE' as const], alphas: [1] };
    const asked = { ...input, promptsPerPair: 40 };
    const [last, answer, armed] = [
      await sweep(asked),
      await sweep({ ...asked, placement: 'ANSWER' }),
      await sweep({ ...asked, placement: 'ARMED' }),
    ];
    for (const cells of [last, answer, armed]) {
      expect(cells.map(({ edited, method }) => `${edited} ${method}`)).toEqual([
        ...['CONCEPT LATENT_DECODE', 'MEAN_DIFFERENCE MEAN_DIFFERENCE'],
        ...['TRUE_ACTIVATION REPLACEMENT', 'SUM REPLACEMENT'],
      ]);
      for (const { trials, otherPrompts, texts } of cells.slice(2))
        expect([trials, otherPrompts, texts]).toEqual([cells[0]!.trials, 0, 0]);
    }
    // What cannot be armed stands at every token instead.
    expect(armed!.slice(2)).toEqual(answer!.slice(2));
    expect(answer![2]!.successes).toBeGreaterThan(0);
    expect(await sweep(asked, [0, 2])).toEqual(last!.filter((_, i) => i === 1 || i === 3));
  });

  describe('of what the model knows', () => {
    const asked = { methods: ['LATENT_DECODE' as const], alphas: [1], split: 'TRAIN' as const };
    /** What the model says to every fifth prompt does not count. */
    const doubted = {
      ...dataset,
      prompts: dataset.prompts.map((prompt, i) =>
        i % 5 === 0 ? { ...prompt, answer: 'no such thing' } : prompt,
      ),
    };

    /** All swaps of the pairs in the order in which they are drawn, each asked by itself. */
    async function askOneByOne(input: SweepSettingsInput) {
      const { model, sae } = await load();
      const settings = settingsOf({ ...input, promptsPerPair: 1000 });
      const prompts = choosePrompts(doubted, sae.settings, settings);
      const swaps = drawSweepTrials(prompts, doubted, PAIRS, settings);
      const targetOf = indexTargetPrompts(doubted.prompts);
      const own = await askAll(
        model,
        swaps.map(({ prompt }) => prompt),
      );
      const target = await askAll(
        model,
        swaps.map(({ prompt, pair }) => targetOf(prompt, PAIRS[pair]!.target)!),
      );
      const known = own.map((right, i) => right && target[i]!);
      tf.dispose([model.weights, sae.weights]);
      return PAIRS.map((_, pair) => known.filter((_, i) => swaps[i]!.pair === pair));
    }

    test('counts success apart, for the slots and for every control', async () => {
      const controls = sweepControl.options;
      const cells = await sweep(
        { ...asked, controls: [...controls], promptsPerPair: 12, dasDimensions: [4], dasSteps: 30 },
        [],
        null,
        doubted,
      );
      const known = (await askOneByOne(asked)).map((own) => own.slice(0, 12).filter(Boolean).length);
      expect(Math.min(...known)).toBeGreaterThan(0);
      expect(Math.max(...known)).toBeLessThan(12);
      expect(cells.map(({ edited }) => edited)).toEqual(expect.arrayContaining(['CONCEPT', ...controls]));
      for (const cell of cells) {
        expect([cell.trials, cell.knownTrials, cell.leftOut]).toEqual([24, known[0]! + known[1]!, 0]);
        expect(cell.pairs.map(({ knownTrials }) => knownTrials)).toEqual(known);
        expect(cell.knownSuccesses).toBe(cell.pairs.reduce((sum, pair) => sum + pair.knownSuccesses, 0));
        expect(cell.knownSuccesses).toBeLessThanOrEqual(cell.successes);
      }
      const ceiling = cells.find(({ edited }) => edited === 'TRUE_ACTIVATION')!;
      expect(ceiling.knownSuccesses).toBeGreaterThan(0);
      // A patched activation finds what the model knows more often than what it does not.
      const { trials, successes, knownTrials, knownSuccesses } = ceiling;
      expect(knownSuccesses / knownTrials).toBeGreaterThan(successes / trials);
    });

    test('leaves the rest out where it is asked to, draws others in its place, and counts it', async () => {
      const wanted = 6;
      const known = await askOneByOne(asked);
      const leftOut = known.map((own) => {
        const last = own.flatMap((one, i) => (one ? [i] : []))[wanted - 1];
        return own.slice(0, last === undefined ? own.length : last).filter((one) => !one).length;
      });
      const controls = ['TRUE_ACTIVATION' as const];
      const cells = await sweep(
        { ...asked, controls, knownOnly: true, promptsPerPair: wanted },
        [],
        null,
        doubted,
      );
      expect(Math.max(...leftOut)).toBeGreaterThan(0);
      for (const cell of cells) {
        expect(cell.pairs.map((pair) => pair.leftOut)).toEqual(leftOut);
        expect(cell.pairs.map(({ trials }) => trials)).toEqual(
          known.map((own) => Math.min(wanted, own.filter(Boolean).length)),
        );
        expect([cell.knownTrials, cell.knownSuccesses]).toEqual([cell.trials, cell.successes]);
        expect(cell.leftOut).toBe(leftOut[0]! + leftOut[1]!);
      }
    });

    test('says so where nothing is left', async () => {
      const wrong = dataset.prompts.map((prompt) => ({ ...prompt, answer: 'nothing of the kind' }));
      const job = { kind: 'SWAP_SWEEP', ...studied, baseline: null, pairs: PAIRS, done: [] } as const;
      const settings = settingsOf({ ...asked, controls: [], knownOnly: true });
      await expect(
        runSwapSweep({ ...job, dataset: { ...dataset, prompts: wrong }, settings }, createRecorder(workDir)),
      ).rejects.toMatchObject({
        code: 'INVALID_INPUT',
        path: ['settings', 'knownOnly'],
        message: expect.stringMatching(/knows none of the \d+ swaps in the TRAIN prompts of SEEN entities/),
      });
    });
  });

  test('tries withheld swaps alone where it is asked to', async () => {
    const { settings } = await load().then(({ model, sae }) => {
      tf.dispose([model.weights, sae.weights]);
      return sae;
    });
    const withholding = { ...settings, withheldTargets: [dataset.concepts[3]!.key] };
    const isWithheld = createWithheld(dataset, withholding);
    const prompts = choosePrompts(dataset, settings, settingsOf());
    const all = drawSweepTrials(prompts, dataset, PAIRS, settingsOf());
    const some = drawSweepTrials(prompts, dataset, PAIRS, settingsOf(), isWithheld);
    expect(new Set(all.map(({ pair }) => pair))).toEqual(new Set([0, 1]));
    expect(new Set(some.map(({ pair }) => pair))).toEqual(new Set([1])); // towards concept 3
    expect(some).toEqual(all.filter(({ pair }) => pair === 1));
    // Nothing was withheld from the SAE that is swept here.
    await expect(sweep({ withheldOnly: true })).rejects.toMatchObject({
      code: 'INVALID_INPUT',
      message: expect.stringContaining('no withheld swap'),
    });
  });

  test('compares with an unsupervised SAE, the one that is named or one trained on the spot', async () => {
    const only = {
      methods: ['LATENT_DECODE' as const],
      alphas: [2],
      controls: ['UNSUPERVISED_LATENT' as const],
    };
    const trained = await sweep(only);
    const { sae } = await load();
    const { nFree, nConcepts } = sae.config;
    const { seed, layer, unseenShare, validationShare } = sae.settings;
    const settings = resolveBaselineSettings(
      { seed, layer, unseenShare, validationShare, nFree: nFree + nConcepts },
      nConcepts,
    );
    const recorder = createRecorder(await mkdtemp(join(workDir, 'baseline-')));
    const made = await runBaseline({ kind: 'BASELINE', settings, model: studied.model, dataset }, recorder);
    const named = await sweep(only, [], { sae: made.weights.path, latents: made.conceptLatents });
    expect(trained.map(({ edited }) => edited)).toEqual(['CONCEPT', 'UNSUPERVISED_LATENT']);
    expect(named).toEqual(trained);
  });

  test('frees every tensor', async () => {
    await sweep();
    const before = tf.memory().numTensors;
    await sweep();
    expect(tf.memory().numTensors).toBe(before);
  });

  test('keeps every swap where it is asked to, with outcomes that come to the counts', async () => {
    const cells = await sweep({ keepTrials: true, alphas: [1], controls: ['TRUE_ACTIVATION'] });
    const swaps = cells[0]!.kept!.swaps!;
    expect(cells.slice(1).every(({ kept }) => kept!.swaps === null)).toBe(true);
    for (const { trials, successes, looseSuccesses, kept, pairs, knownTrials } of cells) {
      const count = (outcome: string) => kept!.outcomes.filter((one) => one === outcome).length;
      expect(kept!.outcomes).toHaveLength(swaps.length);
      expect(kept!.outcomes.map((outcome) => outcome === null)).toEqual(
        kept!.answers.map((answer) => answer === null),
      );
      expect(kept!.answers.filter((answer) => answer !== null)).toHaveLength(trials);
      expect([count('WHOLE'), count('WHOLE') + count('PART')]).toEqual([successes, looseSuccesses]);
      for (const { source, target, trials: own } of pairs)
        expect(
          swaps.filter((swap, i) => {
            return swap.source === source && swap.target === target && kept!.answers[i] !== null;
          }),
        ).toHaveLength(own);
      expect(swaps.filter(({ known }, i) => known && kept!.answers[i] !== null)).toHaveLength(knownTrials);
      kept!.answers.forEach((answer, i) => {
        if (kept!.outcomes[i] === 'WHOLE')
          expect(swaps[i]!.expected.some((value) => sameAnswer(answer!, value))).toBe(true);
        if (kept!.outcomes[i] === 'UNCHANGED') expect(answer).toBe(swaps[i]!.before);
      });
    }
    const promptOf = new Map(dataset.prompts.map((prompt) => [prompt.id, prompt]));
    const { model } = await load();
    for (const { promptId, before } of swaps.slice(0, 5)) {
      const tokens = model.tokenizer.encode(promptOf.get(promptId)!.prompt);
      const [answer] = await generate(model, [tokens], { maxNewTokens: 8 });
      expect(answer!.text.startsWith(before)).toBe(true);
    }
    expect((await sweep())[0]!.kept).toBeUndefined();
  });

  test('says when the dataset has no such prompts', async () => {
    await expect(
      sweep({ split: 'VALIDATION', population: 'VALIDATION', promptsPerPair: 1 }),
    ).resolves.toBeDefined();
    const nobody = { ...dataset, facts: [] };
    const job = {
      kind: 'SWAP_SWEEP',
      ...studied,
      baseline: null,
      dataset: nobody,
      pairs: PAIRS,
      done: [],
    } as const;
    await expect(
      runSwapSweep({ ...job, settings: settingsOf() }, createRecorder(workDir)),
    ).rejects.toMatchObject({
      code: 'INVALID_INPUT',
      message: expect.stringContaining('no swap in the TEST_OOD prompts of SEEN entities'),
    });
  });
});

test('the evaluation after an alignment counts what swaps one by one give', async () => {
  const { model, sae } = await load();
  const { layer, swapTrials: count, seed } = sae.settings;
  const populations = splitPopulations(dataset, sae.settings);
  const captured = await capturePrompts(model, populations, sae.settings, createRecorder(workDir));
  const scales = freeScales(sae, captured.SEEN);
  const controls = ['CONCEPT', 'RANDOM_LATENT', 'TRUE_ACTIVATION', 'SUM'];
  expect(new Set(evaluated.map(({ control }) => control))).toEqual(new Set(controls));
  const targetOf = indexTargetPrompts(populations.prompts);
  const sums = sumsOf(captured, dataset.concepts.length);
  const writtenBy = async (
    control: SwapMeasure['control'],
    trial: SwapTrial,
    alpha: number,
    random: Random,
  ): Promise<Float32Array> => {
    if (control === 'SUM') return sums.sum(trial.example.entity, trial.target)!;
    if (control === 'TRUE_ACTIVATION') {
      const { prompt } = targetOf(trial.example, trial.target)!;
      return captureResidPost(model, [model.tokenizer.encode(prompt)], { layer });
    }
    const swap = control === 'CONCEPT' ? slotSwap(sae, trial) : randomSwap(random, scales, trial);
    return applyEdits(sae, trial.h, [METHODS.LATENT_DECODE.prepare(sae, swap)(alpha)]);
  };
  for (const { control, population, split, alpha, ...measured } of evaluated) {
    const prompts = captured[population].filter((prompt) => prompt.split === split);
    const drawn = drawTrials(prompts, dataset.facts, { count, seed, stream: `${population}/${split}` });
    const random = createRandom(seed, 'random-latents');
    const counted = {
      ...{ trials: drawn.length, successes: 0, looseSuccesses: 0, categoryKept: 0 },
      ...{ knownTrials: 0, knownSuccesses: 0, leftOut: 0 },
    };
    for (const trial of drawn) {
      const values = await writtenBy(control, trial, alpha, random);
      const tokens = model.tokenizer.encode(trial.prompt);
      const [answer] = await generate(model, [tokens], { maxNewTokens: 8, edit: { layer, values } });
      const success = Number(trial.expected.some((value) => sameAnswer(answer!.text, value)));
      counted.successes += success;
      const isPart = trial.expected.some(
        (value) => isPartOf(answer!.text, value) || isPartOf(value, answer!.text),
      );
      counted.looseSuccesses += success || Number(isPart);
      const isOther = dataset.facts.some(
        ({ concept, value }) => concept === trial.target && sameAnswer(answer!.text, value),
      );
      counted.categoryKept += Number(!success && isOther);
      const both = await askAll(model, [trial.example, targetOf(trial.example, trial.target)!]);
      if (!both.every(Boolean)) continue;
      counted.knownTrials++;
      counted.knownSuccesses += success;
    }
    expect(measured).toEqual(counted);
  }
  expect(Math.max(...evaluated.map(({ successes }) => successes))).toBeGreaterThan(0);
  expect(Math.max(...evaluated.map(({ categoryKept }) => categoryKept))).toBeGreaterThan(0);
  tf.dispose([model.weights, sae.weights]);
});

/** Whether the words of one stand in a row in the other, and there are any. */
function isPartOf(part: string, whole: string): boolean {
  const wordsOf = (text: string) =>
    text
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}]+/gu, ' ')
      .trim();
  return wordsOf(part) !== '' && wordsOf(whole).includes(wordsOf(part));
}

test('the evaluation after an alignment tries what the model knows alone where it is asked to', async () => {
  const { model, sae: trained } = await load();
  const stored = await readSae(studied.sae);
  const sae = new Sae({ ...stored, settings: { ...stored.settings, knownOnly: true } });
  const populations = splitPopulations(dataset, sae.settings);
  const captured = await capturePrompts(model, populations, sae.settings, createRecorder(workDir));
  const { swaps } = await evaluateSwaps({ model, sae }, dataset, captured, createRecorder(workDir).reporter);
  expect(Math.max(...swaps.map(({ leftOut }) => leftOut))).toBeGreaterThan(0);
  const some = swaps.filter(({ leftOut }) => leftOut > 0);
  const { swapTrials } = sae.settings;
  for (const { control, population, split, alpha, trials, successes, ...known } of swaps) {
    expect(known).toMatchObject({ knownTrials: trials, knownSuccesses: successes });
    const all = evaluated.find(
      (one) => one.control === control && one.population === population && one.split === split,
    )!;
    // Others stand in the place of those left out, as far as there are any.
    expect([swapTrials, all.knownTrials + known.leftOut].includes(trials) || trials < swapTrials).toBe(true);
    expect(alpha).toBe(1);
  }
  expect(some.some(({ trials }) => trials === swapTrials)).toBe(true);
  tf.dispose([model.weights, trained.weights, sae.weights]);
});

describe('what a model knows of a dataset', () => {
  const measure = (given: EngineDataset, promptsPerConcept: number) =>
    runKnowledge(
      {
        ...{ kind: 'KNOWLEDGE', model: studied.model, dataset: given },
        settings: knowledgeSettings.parse({ promptsPerConcept }),
      },
      createRecorder(workDir),
    );

  test('is counted by concept and split, whole answers', async () => {
    const { model, sae } = await load();
    // What the model says to every third prompt does not count, and one more is not asked.
    const prompts = dataset.prompts.map((prompt, i) => {
      return i === 0
        ? { ...prompt, answer: null }
        : i % 3 === 0
          ? { ...prompt, answer: 'no such thing' }
          : prompt;
    });
    const questions = prompts.filter(isQuestion);
    const right = await askAll(model, questions);
    const { known } = await measure({ ...dataset, prompts }, 10_000);
    const count = (concept: number, split: Split) => {
      const own = questions.flatMap((prompt, i) =>
        prompt.concepts[0] === concept && prompt.split === split ? [right[i]!] : [],
      );
      return { concept, split, asked: own.length, right: own.filter(Boolean).length };
    };
    const splits = SPLITS.filter((split) => questions.some((prompt) => prompt.split === split));
    expect(known).toEqual(
      dataset.concepts.flatMap((_, concept) => splits.map((split) => count(concept, split))),
    );
    expect(known.some(({ asked, right }) => right > 0 && right < asked)).toBe(true);
    tf.dispose([model.weights, sae.weights]);
  });

  test('is a sample of each, and nothing where nothing is asked', async () => {
    const { known } = await measure(dataset, 3);
    expect(known.map(({ asked }) => asked)).toEqual(known.map(() => 3));
    const told = dataset.prompts.map((prompt) => ({ ...prompt, answer: null }));
    await expect(measure({ ...dataset, prompts: told }, 3)).rejects.toMatchObject({
      ...{ code: 'INVALID_INPUT', message: 'the dataset asks nothing about one concept' },
    });
  });
});

describe('an armed swap of one prompt', () => {
  const { prompt } = dataset.prompts.find(({ concepts }) => concepts[0] === 0)!;
  const swap = async (source: number, armed: boolean) => {
    const placement = armed ? 'ARMED' : 'LAST_TOKEN';
    const { model, sae } = await load();
    const call = { prompt, source, target: (source + 1) % 6, placement, method: 'LATENT_DECODE' } as const;
    const answer = await swapConcept({ model, sae }, { ...call, alpha: 4, maxNewTokens: 6 });
    tf.dispose([model.weights, sae.weights]);
    return answer;
  };

  test('edits where the source slot is on', async () => {
    const { slots, result, baseline } = await swap(0, true);
    expect(slots[0]!.before).toBeGreaterThan(0.5);
    expect([slots[0]!.after, slots[1]!.after]).toEqual([0, 4]);
    expect(result.tokens).not.toEqual(baseline.tokens);
  });

  test('leaves everything as it is where it is off, which a placed one does not', async () => {
    const silent = await findSilentSlot(prompt);
    const { slots, result, baseline } = await swap(silent, true);
    expect(slots.map(({ after }) => after)).toEqual(slots.map(({ before }) => before));
    expect(result).toEqual(baseline);
    const placed = await swap(silent, false);
    expect(placed.slots[(silent + 1) % 6]!.after).toBe(4);
    expect(placed.result.tokens).not.toEqual(baseline.tokens);
  });
});

async function load() {
  return { model: await loadLanguageModel(studied.model), sae: await loadSae(studied.sae) };
}

/** Whether the model answers each prompt right unedited. */
async function askAll(model: LanguageModel, prompts: readonly Prompt[]): Promise<boolean[]> {
  const tokens = prompts.map(({ prompt }) => model.tokenizer.encode(prompt));
  const said = await generate(model, tokens, { maxNewTokens: 8 });
  return prompts.map(({ answer }, i) => sameAnswer(said[i]!.text, answer!));
}

/** A slot that is nowhere on in the prompt and in how the model goes on with it. */
async function findSilentSlot(prompt: string): Promise<number> {
  const { model, sae } = await load();
  const tokens = model.tokenizer.encode(prompt);
  const [answer] = await generate(model, [tokens], { maxNewTokens: 6 });
  const sequence = [...tokens, ...answer!.tokens.map(({ id }) => id)];
  const positions = [sequence.map((_, position) => position)];
  const slots = sae.slots(
    await captureResidPost(model, [sequence], { layer: sae.settings.layer, positions }),
  );
  tf.dispose([model.weights, sae.weights]);
  const silent = [0, 1, 2, 3, 4, 5].filter((slot) =>
    slots.every((value, i) => i % 6 !== slot || value < 0.5),
  );
  expect(silent).not.toEqual([]);
  return silent[0]!;
}

/** Every trial by itself: capture, edit, generate. */
async function countOneByOne(method: SwapMethod, alpha: number): Promise<number> {
  const settings = settingsOf({ split: 'TRAIN', promptsPerPair: 20 });
  const model = await loadLanguageModel(studied.model);
  const sae = await loadSae(studied.sae);
  const prompts = choosePrompts(dataset, sae.settings, settings);
  let successes = 0;
  for (const { pair, prompt, expected } of drawSweepTrials(prompts, dataset, PAIRS, settings)) {
    const tokens = model.tokenizer.encode(prompt.prompt);
    const { layer } = sae.settings;
    const h = await captureResidPost(model, [tokens], { layer });
    const edit = METHODS[method].prepare(sae, slotSwap(sae, PAIRS[pair]!))(alpha);
    const values = applyEdits(sae, h, [edit]);
    const [answer] = await generate(model, [tokens], { maxNewTokens: 8, edit: { layer, values } });
    if (expected.some((value) => sameAnswer(answer!.text, value))) successes++;
  }
  sae.dispose();
  model.dispose();
  return successes;
}

async function isolateAll(
  settings: SweepSettings,
): Promise<Record<(typeof ISOLATION_KINDS)[number], number>> {
  const model = await loadLanguageModel(studied.model);
  const sae = await loadSae(studied.sae);
  const cases = drawIsolationCases(choosePrompts(dataset, sae.settings, settings), dataset, PAIRS, settings);
  const editor = slotEditor(sae, PAIRS);
  const kept = { PROMPT: 0, TEXT: 0, STATEMENT: 0 };
  for (const { pair, kind, text } of cases) {
    const tokens = model.tokenizer.encode(text);
    const edit = armedEdit(editor, 'LATENT_DECODE', pair, settings.alphas[0]!);
    const go = (armed: boolean) =>
      continueAll(
        model,
        [tokens],
        () => (armed ? armedHook(sae, sae.settings.layer, [edit]) : undefined),
        () => 8,
        async () => {},
      );
    if (String(await go(true)) === String(await go(false))) kept[kind]++;
  }
  sae.dispose();
  model.dispose();
  return kept;
}

describe('edits that are computed together', () => {
  test.each(SWAP_METHODS)('equal edits one by one: %s', (method) => {
    const { sae, activation } = handmadeSae();
    const rows = [
      activation({ slots: [1, 0.2], free: [0.5, 2], lost: 1 }),
      activation({ slots: [0.1, 0.9], free: [0, 1], lost: -2 }),
      activation({ slots: [0.4, 0.4], free: [3, 0] }),
    ];
    const h = Float32Array.from(rows.flatMap((row) => [...row]));
    const pairs = [
      { source: 0, target: 1 },
      { source: 1, target: 0 },
    ];
    const editor = slotEditor(sae, pairs);
    const pairOf = [0, 1, 0];
    const edits = createRowEdits(sae, h, [2, 3]);
    for (const alpha of [0.5, 2]) {
      const each = pairOf.map((pair) => editor.edit(method, pair, alpha));
      const expected = applyEdits(sae, h, each);
      edits(each).forEach((value, i) => {
        expect(value).toBeCloseTo(expected[i]!, 4);
      });
    }
    sae.dispose();
  });

  const swapOf = (off: number, on: number, scales: readonly [number, number] = [1, 1]): Swap => ({
    off: { concept: 0, latent: off, scale: scales[0] },
    on: { concept: 1, latent: on, scale: scales[1] },
  });

  test('a latent that stands for both concepts ends at alpha', () => {
    const { sae, activation } = handmadeSae();
    const h = activation({ slots: [0, 0], free: [2, 1] });
    const edit = METHODS.LATENT_DECODE.prepare(sae, swapOf(0, 0))(5);
    const expected = activation({ slots: [0, 0], free: [5, 1] });
    for (const edited of [createRowEdits(sae, h, [0])([edit]), applyEdits(sae, h, [edit])])
      edited.forEach((value, i) => {
        expect(value).toBeCloseTo(expected[i]!, 4);
      });
    sae.dispose();
  });

  test('alpha counts in the scale of the latent, placed and armed alike', () => {
    const { sae, activation } = handmadeSae();
    const h = activation({ slots: [0, 0], free: [2, 1] });
    const methods = ['LATENT_DECODE', 'DECODER_COLUMN'] as const;
    const editor = createEditor({ edited: 'RANDOM_LATENT', sae, methods, swaps: [swapOf(0, 1, [2, 3])] });
    const placed = editor.edit('LATENT_DECODE', 0, 2);
    const expected = activation({ slots: [0, 0], free: [0, 6] });
    createRowEdits(
      sae,
      h,
      [0, 1],
    )([placed]).forEach((value, i) => {
      expect(value).toBeCloseTo(expected[i]!, 4);
    });
    expect(armedEdit(editor, 'LATENT_DECODE', 0, 2)).toEqual({
      edit: placed,
      when: { latent: 0, threshold: 1 },
    });
    // An added direction is a share of the activation's length instead.
    expect(editor.edit('DECODER_COLUMN', 0, 2)).toMatchObject({ size: 2, unit: 'LENGTH' });
    sae.dispose();
  });

  test('an armed edit never fires on a sink', () => {
    const { sae, activation } = handmadeSae();
    const rows = [activation({ slots: [1, 0], free: [0, 0] }), activation({ slots: [1, 0], free: [90, 0] })];
    const h = Float32Array.from(rows.flatMap((row) => [...row]));
    const edited = (sinkNorm: number) => {
      const armed = armedEdit(
        slotEditor(withSinkNorm(sae, sinkNorm), [{ source: 0, target: 1 }]),
        'LATENT_DECODE',
        0,
        2,
      );
      const out = tf.tidy(() =>
        armedHook(withSinkNorm(sae, sinkNorm), 1, [armed])
          .apply(tf.tensor3d(h, [1, 2, 5]))
          .dataSync(),
      );
      return [0, 1].map(
        (row) => String(out.slice(row * 5, row * 5 + 5)) !== String(h.slice(row * 5, row * 5 + 5)),
      );
    };
    expect(edited(Number.POSITIVE_INFINITY)).toEqual([true, true]);
    expect(edited(50)).toEqual([true, false]);
    sae.dispose();
  });

  test('random latents are drawn by the stream, in the scale of their own activations', () => {
    const scales = Float32Array.of(4, 6);
    const draw = (seed: number) => {
      const random = createRandom(seed, 'test');
      return PAIRS.map((pair) => randomSwap(random, scales, pair));
    };
    expect(draw(1)).toEqual(draw(1));
    expect(new Set([1, 2, 3, 4].map((seed) => JSON.stringify(draw(seed)))).size).toBeGreaterThan(1);
    for (const { off, on } of draw(2))
      expect([off.scale, on.scale]).toEqual([scales[off.latent], scales[on.latent]]);
  });
});

function withSinkNorm(sae: Sae, sinkNorm: number): Sae {
  return Object.defineProperty(sae, 'sinkNorm', { value: sinkNorm, configurable: true });
}

function slotEditor(sae: Sae, pairs: readonly { source: number; target: number }[]) {
  const swaps = pairs.map((pair) => slotSwap(sae, pair));
  return createEditor({ edited: 'CONCEPT', sae, methods: SWAP_METHODS, swaps });
}
