/** What a model answers to sequences in one teacher-forced pass, as it is or with its residual stream edited. */
import * as tf from '@tensorflow/tfjs-core';
import { longestInput, padBatch } from '../model/batches.ts';
import { logitsFromResid, residPost } from '../model/decoder.ts';
import type { LanguageModel } from '../model/languageModel.ts';
import type { Sequence } from '../model/packing.ts';
import { softmaxCrossEntropy } from '../ops.ts';

export interface Answers {
  questions: number;
  /** Those whose every target, the end token included, is the likeliest token. */
  correct: number;
  /** The same, question by question. */
  right: readonly boolean[];
  /** Mean cross-entropy of the targets, nats a token. */
  loss: number;
  /** Mean over questions of the last answer token's logit minus the best other's. */
  logitMargin: number;
}

/** Edits `resid [B, T, C]` of the sequences from `start` on. */
export type Edit = (resid: tf.Tensor3D, start: number) => tf.Tensor3D;

const ROWS_AT_ONCE = 128;

/** Asks all `sequences`, which are questions with answer and end token; `edit` is done at `layer`. */
export async function measureAnswers(
  model: LanguageModel,
  sequences: readonly Sequence[],
  { layer, edit, breathe }: { layer: number; edit?: Edit; breathe: () => Promise<void> },
): Promise<Answers> {
  const T = longestInput(sequences);
  const right: boolean[] = [];
  const sums = { loss: 0, targets: 0, margin: 0 };
  for (let start = 0; start < sequences.length; start += ROWS_AT_ONCE) {
    const rows = sequences.slice(start, start + ROWS_AT_ONCE);
    const { best, losses, last } = askBatch(model, rows, T, (tokens) => {
      const resid = residPost(model.config, model.weights, tokens, layer);
      return logitsFromResid(model.config, model.weights, edit ? edit(resid, start) : resid, layer);
    });
    rows.forEach(({ tokens, from }, i) => {
      let isRight = true;
      for (let place = from; place < tokens.length; place++) {
        isRight &&= best[i * T + place - 1] === tokens[place];
        sums.loss += losses[i * T + place - 1]!;
        sums.targets++;
      }
      right.push(isRight);
      sums.margin += marginOf(
        last.subarray(i * model.config.dVocab, (i + 1) * model.config.dVocab),
        tokens.at(-2)!,
      );
    });
    await breathe();
  }
  const questions = sequences.length;
  return {
    questions,
    correct: right.filter(Boolean).length,
    right,
    loss: sums.loss / Math.max(1, sums.targets),
    logitMargin: sums.margin / Math.max(1, questions),
  };
}

/** `best` and `losses` `[B · T]`; `last [B · V]`, the logits that predict each answer's last token. */
function askBatch(
  { config: { dVocab: V } }: LanguageModel,
  rows: readonly Sequence[],
  T: number,
  logitsOf: (tokens: tf.Tensor2D) => tf.Tensor3D,
) {
  const batch = padBatch(rows, T);
  const B = rows.length;
  const tensors = tf.tidy(() => {
    const z = logitsOf(tf.tensor2d(batch.tokens!.data, [B, T], 'int32'));
    const flat = tf.reshape(z, [B * T, V]) as tf.Tensor2D;
    const targets = tf.tensor1d(batch.targets!.data, 'int32');
    const lastPlaces = rows.map(({ tokens }, i) => i * T + tokens.length - 3);
    return [
      tf.argMax(flat, 1),
      softmaxCrossEntropy(flat, targets),
      tf.gather(flat, tf.tensor1d(lastPlaces, 'int32')),
    ];
  });
  const [best, losses, last] = tensors.map((tensor) => tensor.dataSync());
  tf.dispose(tensors);
  return { best: best!, losses: losses!, last: last as Float32Array };
}

function marginOf(logits: Float32Array, token: number): number {
  let best = -Infinity;
  logits.forEach((value, i) => {
    if (i !== token && value > best) best = value;
  });
  return logits[token]! - best;
}
