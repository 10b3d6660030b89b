import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CapturedPrompt } from '../../../src/engine/align/captured.ts';
import { measureFaithfulness } from '../../../src/engine/align/faithfulness.ts';
import { generate } from '../../../src/engine/model/generate.ts';
import type { LanguageModel } from '../../../src/engine/model/languageModel.ts';
import { Sae } from '../../../src/engine/sae/sae.ts';
import { loadTestBackend } from '../../helpers/engine.ts';
import { tinyConfig, tinyModel } from '../model/tiny.ts';
import { tinySae } from './tinySae.ts';

const breathe = async () => undefined;
let model: LanguageModel;
let sae: Sae;
/** A question that the model answers, and what it answers. */
let asked: { prompt: string; says: string };

beforeAll(async () => {
  await loadTestBackend();
  model = tinyModel();
  sae = new Sae(tinySae());
  const words = ['ada', 'bo', 'cy', 'di', 'eve', 'fay', 'guy', 'hal'];
  const prompts = words.flatMap((a) => words.map((b) => `${a} ${b}`));
  const said = await generate(
    model,
    prompts.map((prompt) => model.tokenizer.encode(prompt)),
    { maxNewTokens: 6 },
  );
  const found = said.findIndex(({ reason, tokens }) => reason === 'EOS' && tokens.length > 0);
  asked = { prompt: prompts[found]!, says: said[found]!.text.trim() };
});
afterAll(() => {
  model.dispose();
  sae.dispose();
});

async function clean(about: Pick<CapturedPrompt, 'answer' | 'otherAnswers'>) {
  const prompt: CapturedPrompt = {
    ...{ id: 'p', prompt: asked.prompt, entity: 'x', concepts: [0], template: '', split: 'TRAIN', ...about },
    h: new Float32Array(tinyConfig.dModel),
  };
  const all = await measureFaithfulness(
    { model, sae },
    { SEEN: [prompt], VALIDATION: [], UNSEEN: [] },
    breathe,
  );
  return all.find(({ replacement }) => replacement === 'CLEAN')!;
}

describe('measureFaithfulness', () => {
  it('takes any accepted answer, and the cross-entropy of the usual one', async () => {
    const usual = await clean({ answer: asked.says });
    const other = await clean({ answer: 'guy hal', otherAnswers: ['bo', asked.says] });
    const wrong = await clean({ answer: 'guy hal', otherAnswers: ['hal guy'] });
    expect([usual, other, wrong].map(({ prompts, correct }) => [prompts, correct])).toEqual([
      [1, 1],
      [1, 1],
      [1, 0],
    ]);
    expect(other.crossEntropy).toBe(wrong.crossEntropy);
    expect(other.crossEntropy).toBeGreaterThan(usual.crossEntropy);
  });
});
