/** Token sequences and the order in which training sees them. */
import { invalidInput } from '../../errors.ts';
import type { Tokenizer } from '../../formats/tokenizer.ts';
import { createRandom } from '../../random.ts';
import type { Arrays } from '../contract/arrays.ts';
import { type EngineDataset, isQuestion, type Prompt, type Text } from '../contract/dataset.ts';
import type { ModelSettings } from '../contract/modelSettings.ts';
import { type Asking, askingOf } from './asking.ts';
import { fullRoom, packInto, type Room, type Sequence, usualRoom } from './packing.ts';

/**
 * Prompt, answer and what ends it, behind the tokens `before`; only the answer and its end are targets.
 * @throws Error for a prompt that is no question.
 */
export function questionSequence(
  asking: Pick<Asking, 'prompt' | 'answer' | 'endId'>,
  { id, prompt, answer }: Pick<Prompt, 'id' | 'prompt' | 'answer'>,
  before: readonly number[] = [],
): Sequence {
  if (answer === null) throw new Error(`prompt ${id} has no answer`);
  const question = [...before, ...asking.prompt(prompt)];
  return { tokens: [...question, ...asking.answer(answer), asking.endId], from: question.length };
}

/** The same behind the prefix, with the other accepted answers beside it, as far as they fit into `nCtx` tokens. */
export function judgedSequence(asking: Asking, prompt: Prompt, nCtx: number): Sequence {
  const sequence = questionSequence(asking, prompt, asking.prefix);
  const others = (prompt.otherAnswers ?? [])
    .map((answer) => questionSequence(asking, { ...prompt, answer }, asking.prefix))
    .filter(({ tokens }) => tokens.length - 1 <= nCtx);
  return others.length > 0 ? { ...sequence, others } : sequence;
}

/** A text + end token; every token but the first is a target. */
export function textSequence(tokenizer: Tokenizer, { text }: Text): Sequence {
  return { tokens: [...tokenizer.encode(text), tokenizer.eosId], from: 1 };
}

/**
 * The sequences of a dataset's training split.
 * @throws {AppError} INVALID_INPUT when there is none, or naming the one that does not fit into `nCtx` tokens.
 */
export function trainingSequences(
  tokenizer: Tokenizer,
  dataset: EngineDataset,
  nCtx: number,
): { questions: Sequence[]; texts: Sequence[] } {
  const prompts = dataset.prompts.filter((prompt) => prompt.split === 'TRAIN' && isQuestion(prompt));
  const texts = dataset.texts.filter(({ split }) => split === 'TRAIN');
  const asking = askingOf(tokenizer, dataset);
  if (prompts.length + texts.length === 0) {
    throw invalidInput(['dataset'], 'the dataset has no question and no text in its TRAIN split');
  }
  return {
    questions: prompts.map((p) => fitting(questionSequence(asking, p, asking.prefix), p.prompt, nCtx)),
    texts: texts.map((t) => fitting(textSequence(tokenizer, t), t.text, nCtx)),
  };
}

/** Returns the sequence if the model can read it: all tokens but the last are inputs. */
export function fitting(sequence: Sequence, source: string, nCtx: number): Sequence {
  const length = sequence.tokens.length - 1;
  if (length <= nCtx) return sequence;
  throw invalidInput(['settings', 'nCtx'], `nCtx is ${nCtx}, but "${source}" needs ${length} tokens`);
}

/** Inputs of the longest sequence: the `T` of a batch that fits them all. */
export function longestInput(sequences: readonly Sequence[]): number {
  return sequences.reduce((longest, { tokens }) => Math.max(longest, tokens.length - 1), 0);
}

/**
 * A batch of `sequences`, padded at the right to `T` inputs: `tokens`, `targets` `[B, T]` int32 and `mask`
 * `[B, T]`, 1 where the target counts.
 */
export function padBatch(sequences: readonly Sequence[], T: number): Arrays {
  const shape = [sequences.length, T];
  const tokens = new Int32Array(sequences.length * T);
  const targets = new Int32Array(sequences.length * T);
  const mask = new Float32Array(sequences.length * T);
  sequences.forEach((sequence, row) => {
    tokens.set(sequence.tokens.slice(0, -1), row * T);
    targets.set(sequence.tokens.slice(1), row * T);
    mask.fill(1, row * T + sequence.from - 1, row * T + sequence.tokens.length - 1);
  });
  return { tokens: { data: tokens, shape }, targets: { data: targets, shape }, mask: { data: mask, shape } };
}

/** Training batches by step. */
export interface Batches {
  at(step: number): Arrays;
  /** Place for nearly every batch. */
  usual: Room;
  /** The most inputs of a sequence. */
  longest: number;
}

/**
 * Each epoch visits every question once in an order drawn from (seed, epoch), and so do texts, `textShare` of a batch
 * being texts. A batch depends on its step alone, so the step is all that a checkpoint must hold of the position in the
 * data.
 */
export function createBatches(
  { questions, texts }: { questions: readonly Sequence[]; texts: readonly Sequence[] },
  { seed, batchSize, textShare }: Pick<ModelSettings, 'seed' | 'batchSize' | 'textShare'>,
): Batches {
  let nTexts = Math.round(batchSize * textShare);
  if (texts.length === 0) nTexts = 0;
  if (questions.length === 0) nTexts = batchSize;
  const nQuestions = batchSize - nTexts;
  const longest = longestInput([...questions, ...texts]);
  const full = fullRoom(batchSize, longest);
  const pools = [
    { items: questions, count: nQuestions },
    { items: texts, count: nTexts },
  ];
  const usual = usualRoom(pools, full);
  const drawQuestions = shuffledDraws(questions, seed, 'questions');
  const drawTexts = shuffledDraws(texts, seed, 'texts');
  const at = (step: number) =>
    packInto([...drawQuestions(step, nQuestions), ...drawTexts(step, nTexts)], usual, full);
  return { at, usual, longest };
}

/** The `count` items of one step out of an endless sequence of shuffled epochs. */
function shuffledDraws<T>(items: readonly T[], seed: number, name: string) {
  let order: { epoch: number; items: T[] } | undefined;
  const at = (index: number): T => {
    const epoch = Math.floor(index / items.length);
    if (order?.epoch !== epoch) {
      order = { epoch, items: createRandom(seed, 'batches', name, epoch).shuffle([...items]) };
    }
    return order.items[index % items.length]!;
  };
  return (step: number, count: number): T[] => Array.from({ length: count }, (_, i) => at(step * count + i));
}
