/** The look at held-out prompts that post-training takes now and then. */
import type { Stepper } from '../step/stepper.ts';
import { fixedBatches, type LabelledBatchOptions, type Rows } from './batches.ts';
import type { SaeConfig } from './sae.ts';

/** Bounds the time of one look; more prompts than fit are sampled evenly. */
const MAX_BATCHES = 8;

export interface Look {
  accuracy: number;
  loss: number;
  /** Metrics by name. */
  values: Record<string, number>;
}

/** Returns a function that measures the stepper's present weights by its evaluation `validate`. */
export function createValidation(config: SaeConfig, rows: Rows, options: LabelledBatchOptions) {
  const batches = fixedBatches(rows, options, MAX_BATCHES);
  const variance = batches.reduce((sum, { batch }) => sum + sumSquares(batch.x!.data as Float32Array), 0);
  return async (stepper: Stepper): Promise<Look> => {
    const tally = { prompts: 0, bound: 0, named: 0, rows: 0, loss: 0, squaredError: 0 };
    const fired = new Float64Array(config.nFree);
    for (const { batch, concepts, fresh } of batches) {
      const measured = await stepper.evaluate('validate', batch);
      tally.loss += measured.loss!.data[0]! / batches.length;
      tally.squaredError += measured.squaredError!.data[0]!;
      tally.rows += concepts.length;
      measured.rowsFired!.data.forEach((rows, latent) => {
        fired[latent]! += rows;
      });
      fresh.forEach((isFresh, i) => {
        if (!isFresh) return;
        tally.prompts++;
        if (strongest(measured.slots!.data, i, config.nConcepts) === concepts[i]) tally.bound++;
        if (measured.valueBest?.data[i] === batch.answers!.data[i]) tally.named++;
      });
    }
    const accuracy = tally.bound / tally.prompts;
    const values = {
      'validation/loss': tally.loss,
      'validation/binding': accuracy,
      ...(config.valueHeads && { 'validation/value': tally.named / tally.prompts }),
      fvu: tally.squaredError / variance,
      l0: fired.reduce((sum, rows) => sum + rows, 0) / tally.rows,
      dead: fired.filter((rows) => rows === 0).length / config.nFree,
    };
    return { accuracy, loss: tally.loss, values };
  };
}

/** Index of the largest of row `i`'s `width` values; the first of equals. */
export function strongest(data: ArrayLike<number>, i: number, width: number): number {
  let best = 0;
  for (let j = 1; j < width; j++) if (data[i * width + j]! > data[i * width + best]!) best = j;
  return best;
}

function sumSquares(values: Float32Array): number {
  return values.reduce((sum, value) => sum + value * value, 0);
}
