/** Whole-answer accuracy of a model that lives in a training step. */
import type { Stepper } from '../step/stepper.ts';
import { padBatch, type Sequence } from './batches.ts';

/**
 * Share of sequences whose every target, the end token included, is the likeliest token, or every one of another that
 * counts as well. That is exactly the
 * share whose greedy continuation equals the whole answer, for greedy decoding follows the answer as long as it
 * is right; one forward pass a batch measures it. Batches are `[B, T]`, the last one filled up, for a compiled
 * evaluation has one shape.
 */
export async function measureAccuracy(
  stepper: Stepper,
  sequences: readonly Sequence[],
  [B, T]: readonly [B: number, T: number],
  breathe: () => Promise<void>,
): Promise<number> {
  const accepted = sequences.flatMap((sequence, question) =>
    [sequence, ...(sequence.others ?? [])].map((one) => ({ ...one, question })),
  );
  const right = new Set<number>();
  for (let start = 0; start < accepted.length; start += B) {
    const rows = accepted.slice(start, start + B);
    const filled = [...rows, ...Array<Sequence>(B - rows.length).fill(rows[0]!)];
    const { tokens } = padBatch(filled, T);
    const { best } = await stepper.evaluate('predict', { tokens: tokens! });
    rows.forEach((row, i) => {
      if (matches(row, best!.data, i * T)) right.add(row.question);
    });
    await breathe();
  }
  return right.size / sequences.length;
}

function matches({ tokens, from }: Sequence, predictions: ArrayLike<number>, offset: number): boolean {
  for (let i = from; i < tokens.length; i++) if (predictions[offset + i - 1] !== tokens[i]) return false;
  return true;
}
