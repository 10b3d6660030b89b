/** Jobs and calls on a dataset whose prompts stand behind a prefix, against one whose prompts say it themselves. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runAlignment } from '../../../src/engine/align/align.ts';
import { capturePrompts } from '../../../src/engine/align/captured.ts';
import { runSaeEvaluation } from '../../../src/engine/align/evaluate.ts';
import { measureFaithfulness } from '../../../src/engine/align/faithfulness.ts';
import { splitPopulations } from '../../../src/engine/align/population.ts';
import { resolveAlignmentSettings } from '../../../src/engine/contract/alignmentPresets.ts';
import type { EngineDataset, Prompt } from '../../../src/engine/contract/dataset.ts';
import { sweepSettings } from '../../../src/engine/contract/swapSweepSettings.ts';
import { swapConcept } from '../../../src/engine/edits/swapConcept.ts';
import { runSwapSweep } from '../../../src/engine/edits/sweep.ts';
import { createLoadedPairs } from '../../../src/engine/loaded.ts';
import { loadLanguageModel } from '../../../src/engine/model/languageModel.ts';
import { promptedBy } from '../../../src/engine/model/prompting.ts';
import { loadSae } from '../../../src/engine/sae/sae.ts';
import { loadTestBackend } from '../../helpers/engine.ts';
import { writeTinyPair } from '../../helpers/tinyAlignment.ts';
import { createRecorder } from '../model/recorder.ts';
import { tinyConfig } from '../model/tiny.ts';

const PREFIX = 'hal guy cy bo';
const WORDS = ['ada', 'bo', 'cy', 'di'];
const prompts = ['a', 'b', 'c'].flatMap((_, concept) =>
  WORDS.flatMap((entity) =>
    (['TRAIN', 'TRAIN', 'TEST_OOD'] as const).map(
      (split, i): Prompt => ({
        ...{ id: `${concept}${entity}${i}`, prompt: `${WORDS[concept]} ${WORDS[i]} ${entity}`, entity },
        ...{ answer: 'eve', concepts: [concept], template: '', split },
      }),
    ),
  ),
);
const values = ['eve', 'fay', 'guy'];
const dataset: EngineDataset = {
  concepts: ['a', 'b', 'c'].map((key) => ({ key, label: key })),
  facts: WORDS.flatMap((entity) => values.map((value, concept) => ({ entity, concept, value }))),
  prompts: prompts.map((prompt) => ({ ...prompt, answer: values[prompt.concepts[0]!]! })),
  texts: [],
  prefix: PREFIX,
};
/** The same, said by every prompt. */
const spelledOut: EngineDataset = {
  ...dataset,
  prefix: undefined as never,
  prompts: dataset.prompts.map((one) => ({ ...one, prompt: `${PREFIX} ${one.prompt}` })),
};
delete spelledOut.prefix;

let dir: string;
let pair: Awaited<ReturnType<typeof writeTinyPair>>;
beforeAll(async () => {
  await loadTestBackend();
  dir = await mkdtemp(join(tmpdir(), 'alignsae-prefixed-'));
  pair = await writeTinyPair(dir);
});
afterAll(() => rm(dir, { recursive: true }));

const settings = resolveAlignmentSettings({
  preset: 'PAPER',
  seed: 0,
  ...{ layer: 1, nFree: 8, unseenShare: 0.25, validationShare: 0.25, swapTrials: 12, alphas: [1, 2] },
  ...{ pretrain: { steps: 5 }, posttrain: { steps: 5 } },
});

describe('behind a prefix', () => {
  it('an alignment measures what it would with prompts that say it', async () => {
    const run = (of: EngineDataset) =>
      runAlignment({ kind: 'ALIGNMENT', settings, model: pair.model, dataset: of }, context());
    const [behind, whole] = [await run(dataset), await run(spelledOut)];
    expect(behind.swaps).toEqual(whole.swaps);
    expect(behind.swaps.length).toBeGreaterThan(3);
    for (const [i, { correct, crossEntropy, ...rest }] of behind.faithfulness.entries()) {
      expect({ correct, ...rest }).toEqual({
        ...whole.faithfulness[i]!,
        crossEntropy: undefined,
        correct,
        ...rest,
      });
      expect(correct).toBe(whole.faithfulness[i]!.correct);
      expect(crossEntropy).toBeCloseTo(whole.faithfulness[i]!.crossEntropy, 4);
    }
    for (const [i, { accuracy, fvu }] of behind.measures.entries()) {
      expect(accuracy).toBe(whole.measures[i]!.accuracy);
      expect(fvu).toBeCloseTo(whole.measures[i]!.fvu, 4);
    }
  });

  it('an SAE is evaluated as it would be with prompts that say it', async () => {
    const run = (of: EngineDataset) => {
      const job = { kind: 'SAE_EVALUATION', settings: { seed: 0 }, model: pair.model } as const;
      return runSaeEvaluation({ ...job, sae: pair.sae.path, dataset: of }, context());
    };
    const told = async (of: EngineDataset) => {
      const { measures, faithfulness } = await run(of);
      return [...measures.map(({ fvu }) => fvu), ...faithfulness.map(({ crossEntropy }) => crossEntropy)];
    };
    const [behind, whole] = [await told(dataset), await told(spelledOut)];
    expect(behind.length).toBeGreaterThan(4);
    behind.forEach((value, i) => {
      expect(value).toBeCloseTo(whole[i]!, 4);
    });
    const { prefix: _, ...alone } = dataset;
    expect((await told(alone))[0]).not.toBeCloseTo(whole[0]!, 4);
  });

  it('a sweep measures what it would with prompts that say it', async () => {
    const swept = sweepSettings.parse({
      ...{ methods: ['LATENT_DECODE', 'DECODER_COLUMN'], alphas: [1, 3], population: 'SEEN', split: 'TRAIN' },
      ...{ controls: ['MEAN_DIFFERENCE'], isolationPerPair: 0 },
    });
    const run = async (of: EngineDataset) => {
      const recorder = context();
      const pairs = [{ source: 0, target: 1 }];
      const job = {
        kind: 'SWAP_SWEEP',
        settings: swept,
        model: pair.model,
        baseline: null,
        done: [],
      } as const;
      await runSwapSweep({ ...job, sae: pair.sae.path, dataset: of, pairs }, recorder);
      return recorder.cells;
    };
    const cells = await run(dataset);
    expect(cells.length).toBeGreaterThan(4);
    expect(cells).toEqual(await run(spelledOut));
  });

  it('a call puts its prompt to the model behind the prefix of its reference', async () => {
    const pairs = createLoadedPairs(1e9);
    const method = 'LATENT_DECODE' as const;
    const call = {
      source: 0,
      target: 1,
      method,
      alpha: 2,
      armed: false,
      placement: 'LAST_TOKEN' as const,
      maxNewTokens: 4,
    };
    const ask = (prompt: string, prefix?: string) =>
      pairs.use(
        { ...pair.model, prompted: prefix === undefined ? {} : { prefix } },
        pair.sae.path,
        (loaded) => swapConcept(loaded, { ...call, prompt }),
      );
    const behind = await ask('ada bo cy', PREFIX);
    const whole = await ask(`${PREFIX} ada bo cy`);
    expect(behind.baseline.text).toBe(whole.baseline.text);
    expect(behind.result.text).toBe(whole.result.text);
    behind.slots.forEach(({ before }, i) => {
      expect(before).toBeCloseTo(whole.slots[i]!.before, 4);
    });
    expect((await ask('ada bo cy')).slots[0]!.before).not.toBeCloseTo(whole.slots[0]!.before, 4);
    await pairs.dispose();
  });

  it('lists the prompts that do not fit, by their lines if they have any, the prefix counted', async () => {
    const model = await loadLanguageModel(pair.model);
    const long = { ...prompts[4]!, prompt: Array(9).fill('ada').join(' ') };
    const some = {
      ...dataset,
      prompts: prompts.map((one, i) => (i === 4 ? { ...long, line: 12 } : i === 7 ? long : one)),
    };
    await expect(
      capturePrompts(promptedBy(model, some), splitPopulations(some, settings), settings, context()),
    ).rejects.toMatchObject({
      code: 'INVALID_INPUT',
      message: [
        `the model reads ${tinyConfig.nCtx - 4} tokens behind the dataset's prefix of 4 tokens; 2 of 36 prompts are longer`,
        `line 12 has 9 tokens: "${long.prompt}"`,
        `prompt 8 has 9 tokens: "${long.prompt}"`,
      ].join('\n'),
    });
    model.dispose();
  });

  it('takes what ends an answer for its end', async () => {
    const model = await loadLanguageModel(pair.model);
    const sae = await loadSae(pair.sae.path);
    const count = async (answerEnd?: string) => {
      const of = { ...dataset, ...(answerEnd && { answerEnd }) };
      const reader = promptedBy(model, of);
      const captured = await capturePrompts(reader, splitPopulations(of, settings), settings, context());
      const counts = await Promise.all(
        WORDS.concat('eve', 'fay', 'guy', 'hal').map(async (answer) => {
          const asked = captured.SEEN.map((prompt) => ({ ...prompt, answer }));
          const breathe = async () => undefined;
          const all = await measureFaithfulness(
            { model: reader, sae },
            { ...captured, SEEN: asked },
            breathe,
          );
          return all
            .filter(({ replacement }) => replacement === 'CLEAN')
            .reduce((sum, { correct }) => sum + correct, 0);
        }),
      );
      return counts.reduce((sum, correct) => sum + correct, 0);
    };
    const strict = await count();
    const ends = await Promise.all(WORDS.concat('eve', 'fay', 'guy', 'hal').map((word) => count(word)));
    expect(Math.max(...ends)).toBeGreaterThan(strict);
    expect(Math.min(...ends)).toBeGreaterThanOrEqual(strict);
    sae.dispose();
    model.dispose();
  });
});

const context = () => createRecorder(dir);
