/** What the language model still answers when the activation at the last prompt token is replaced. */

import * as tf from '@tensorflow/tfjs-core';
import { createRandom } from '../../random.ts';
import type { Faithfulness, Replacement } from '../contract/alignment.ts';
import { isQuestion, SPLITS } from '../contract/dataset.ts';
import { longestInput, padBatch, questionSequence } from '../model/batches.ts';
import { logitsFromResid, residPost } from '../model/decoder.ts';
import { replacing } from '../model/edit.ts';
import { type LanguageModel, prefixOf } from '../model/languageModel.ts';
import type { Sequence } from '../model/packing.ts';
import { softmaxCrossEntropy } from '../ops.ts';
import { stackRows, takeRows } from '../rows.ts';
import type { Sae } from '../sae/sae.ts';
import type { CapturedPopulations, CapturedPrompt } from './captured.ts';

/** Prompts asked a split. */
const MAX_PROMPTS = 400;
/** Prompts computed together, and logits that may be held at once. */
const MAX_BATCH = 200;
const MAX_LOGITS = 2 ** 25;

interface Tally {
  /** For each prompt whether it is answered rightly. */
  right: readonly boolean[];
  loss: number;
}

/**
 * Answers with the activation of the SAE's layer at the last prompt token as it is (`CLEAN`), replaced by its
 * reconstruction, by the mean of the TRAIN activations that the SAE learned from, and by zeros. Asked is a sample, drawn
 * by the seed, of each split's prompts about `SEEN` and `UNSEEN` entities. Whole greedy answers count, the end token
 * included; one teacher-forced pass tells, for greedy decoding follows the answer for as long as it is right. Any
 * accepted answer is right, and so is what ends one in the dataset in the place of the end token; the cross-entropy is that of the usual one.
 */
export async function measureFaithfulness(
  { model, sae }: { model: LanguageModel; sae: Sae },
  { SEEN, UNSEEN }: CapturedPopulations,
  breathe: () => Promise<void>,
): Promise<Faithfulness[]> {
  const measured: Faithfulness[] = [];
  for (const split of SPLITS) {
    const asked = [...SEEN, ...UNSEEN].filter(
      (prompt) => prompt.split === split && isQuestion(prompt) && fits(model, prompt),
    );
    const random = createRandom(sae.settings.seed, 'faithfulness', split);
    const prompts = random.shuffle(asked).slice(0, MAX_PROMPTS);
    if (prompts.length === 0) continue;
    const tallies = await answerAll(model, sae, prompts, breathe);
    const tokens = prompts.reduce((sum, prompt) => sum + answerTokens(model, prompt), 0);
    for (const [replacement, { right, loss }] of tallies) {
      const counts = countRight(prompts, right, sae.concepts.length);
      measured.push({ split, replacement, ...counts, crossEntropy: loss / tokens });
    }
  }
  return measured;
}

function countRight(
  prompts: readonly CapturedPrompt[],
  right: readonly boolean[],
  nConcepts: number,
): Pick<Faithfulness, 'prompts' | 'correct' | 'concepts'> {
  const concepts = Array.from({ length: nConcepts }, () => ({ prompts: 0, correct: 0 }));
  prompts.forEach(({ concepts: [concept] }, i) => {
    const own = concepts[concept!]!;
    own.prompts++;
    if (right[i]) own.correct++;
  });
  return { prompts: prompts.length, correct: right.filter(Boolean).length, concepts };
}

function fits({ asking, config }: LanguageModel, prompt: CapturedPrompt): boolean {
  return questionSequence(asking, prompt).tokens.length - 1 <= config.nCtx;
}

function answerTokens({ asking }: LanguageModel, { answer }: CapturedPrompt): number {
  return asking.answer(answer!).length;
}

/** A prompt with one of the answers that it accepts. */
interface Answered extends Sequence {
  /** Number of the prompt. */
  prompt: number;
}

/** Each prompt with its usual answer, and with every other one that fits. */
function answerEach(
  model: LanguageModel,
  prompts: readonly CapturedPrompt[],
): { usual: Answered[]; others: Answered[] } {
  const sequenceOf = (asked: CapturedPrompt, prompt: number) => ({
    ...questionSequence(model.asking, asked),
    prompt,
  });
  const others = prompts.flatMap((asked, prompt) =>
    (asked.otherAnswers ?? []).flatMap((answer) => {
      const one = { ...asked, answer };
      return fits(model, one) ? [sequenceOf(one, prompt)] : [];
    }),
  );
  return { usual: prompts.map(sequenceOf), others };
}

/**
 * All prompts with their usual answers, and with another only where the model begins as that does and has not said the
 * usual one: countries have a dozen neighbours.
 */
async function answerAll(
  model: LanguageModel,
  sae: Sae,
  prompts: readonly CapturedPrompt[],
  breathe: () => Promise<void>,
): Promise<Map<Replacement, Tally>> {
  const { usual, others } = answerEach(model, prompts);
  const values = replacementsOf(sae, stackRows(prompts, model.config.dModel));
  const ask = createJudge(model, sae, longestInput([...usual, ...others]), breathe);
  const judged = await ask(usual, values);
  const tallies = new Map<Replacement, Tally>();
  for (const [replacement, answers] of judged) {
    const right = answers.map((answer) => answer.right);
    const open = others.filter(
      ({ prompt, tokens, from }) => !right[prompt] && answers[prompt]!.first === tokens[from],
    );
    const again = await ask(open, { [replacement]: values[replacement] });
    again.get(replacement)!.forEach((answer, i) => {
      if (answer.right) right[open[i]!.prompt] = true;
    });
    tallies.set(replacement, { right, loss: answers.reduce((sum, { loss }) => sum + loss, 0) });
  }
  return tallies;
}

/** What the model says to a sequence's question: whether it is the answer, and the cross-entropy of that. */
interface Judged {
  right: boolean;
  loss: number;
  /** The first token that it says. */
  first: number;
}

type Values = Partial<Record<Replacement, Float32Array | null>>;

/** Judges sequences of up to `T` tokens under each replacement; each runs once up to the SAE's layer. */
function createJudge(
  model: LanguageModel,
  { settings: { layer } }: Sae,
  T: number,
  breathe: () => Promise<void>,
) {
  const { dModel, dVocab } = model.config;
  const B = Math.max(1, Math.min(MAX_BATCH, Math.floor(MAX_LOGITS / (T * dVocab))));
  return async (sequences: readonly Answered[], values: Values): Promise<Map<Replacement, Judged[]>> => {
    const replacements = Object.entries(values) as [Replacement, Float32Array | null][];
    const judged = new Map(replacements.map(([replacement]) => [replacement, [] as Judged[]]));
    for (let start = 0; start < sequences.length; start += B) {
      const batch = sequences.slice(start, start + B);
      const places = batch.map(({ prompt }) => prompt);
      const { tokens } = padBatch(batch, T);
      const trunk = runTo(model, layer, tf.tensor2d(tokens!.data, [batch.length, T], 'int32'));
      try {
        for (const [replacement, h] of replacements) {
          const rows = h && takeRows(h, places, dModel);
          judged
            .get(replacement)!
            .push(...judge(model, answerBatch(model, layer, trunk, batch, T, rows), batch, T));
          await breathe();
        }
      } finally {
        trunk.dispose();
      }
    }
    return judged;
  };
}

/** The residual stream behind the layer, `[B, T, C]`; disposes the tokens, and the caller the result. */
function runTo(model: LanguageModel, layer: number, tokens: tf.Tensor2D): tf.Tensor3D {
  const { config, weights } = model;
  const resid = tf.tidy(() => residPost(config, weights, tokens, layer, prefixOf(model)));
  tokens.dispose();
  return resid;
}

/** What replaces raw activations `h [n, dModel]`; null leaves them. */
function replacementsOf(sae: Sae, h: Float32Array): Record<Replacement, Float32Array | null> {
  const { mean } = sae.normalization;
  return {
    CLEAN: null,
    RECONSTRUCTION: sae.reconstruct(h),
    MEAN: h.map((_, i) => mean[i % mean.length]!),
    ZERO: new Float32Array(h.length),
  };
}

/** The likeliest next token and the cross-entropy of the true one at every position, `[B · T]`, from the trunk `[B, T, C]`. */
function answerBatch(
  model: LanguageModel,
  layer: number,
  trunk: tf.Tensor3D,
  batch: readonly Sequence[],
  T: number,
  values: Float32Array | null,
): { best: ArrayLike<number>; losses: ArrayLike<number> } {
  const { config, weights } = model;
  const { targets } = padBatch(batch, T);
  const tensors = tf.tidy(() => {
    const replaced = values ? replaceLast(trunk, layer, batch, values) : trunk;
    const z = logitsFromResid(config, weights, replaced, layer, prefixOf(model));
    const flat = tf.reshape(z, [batch.length * T, config.dVocab]) as tf.Tensor2D;
    const expected = tf.tensor1d(targets!.data as Int32Array, 'int32');
    return [tf.argMax(flat, 1), softmaxCrossEntropy(flat, expected)];
  });
  const [best, losses] = tensors.map((tensor) => tensor.dataSync().slice());
  tf.dispose(tensors);
  return { best: best!, losses: losses! };
}

/** `resid [B, T, C]` with the activation at each question's last token replaced. */
function replaceLast(
  resid: tf.Tensor3D,
  layer: number,
  batch: readonly Sequence[],
  values: Float32Array,
): tf.Tensor3D {
  const positions = batch.map(({ from }) => from - 1);
  const questions = batch.map(({ tokens }) => tokens);
  return replacing({ layer, values, positions }, questions, 0).apply(resid);
}

/** Whether each sequence's answer is what the model would say, and the cross-entropy of its tokens. */
function judge(
  { tokenizer: { decode }, prompting }: LanguageModel,
  { best, losses }: ReturnType<typeof answerBatch>,
  batch: readonly Sequence[],
  T: number,
): Judged[] {
  const answerEnd = prompting?.answerEnd;
  const ends = (token: number, endToken: number) =>
    token === endToken || (answerEnd != null && decode([token]).startsWith(answerEnd));
  return batch.map(({ tokens, from }, i) => {
    const end = tokens.length - 1; // of the end token
    let right = ends(best[i * T + end - 1]!, tokens[end]!);
    let loss = 0;
    for (let position = from; position < end; position++) {
      const place = i * T + position - 1;
      if (best[place] !== tokens[position]) right = false;
      loss += losses[place]!;
    }
    return { right, loss, first: best[i * T + from - 1]! };
  });
}
