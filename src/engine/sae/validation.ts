/** The look at held-out prompts that training takes now and then. */
import { bindingMetric } from '../contract/alignment.ts';
import type { Arrays } from '../contract/arrays.ts';
import type { SaeConfig } from '../contract/sae.ts';
import type { Stepper } from '../step/stepper.ts';
import { fixedBatches, type LabelledBatchOptions, type Rows } from './batches.ts';

/** Bounds the time of one look; more prompts than fit are sampled evenly. */
const MAX_BATCHES = 8;

export interface Look {
  accuracy: number;
  loss: number;
  /** Metrics by name. */
  values: Record<string, number>;
  /** By concept, on how many of its prompts which slot is strongest, `[concept][slot]`. */
  binding: number[][];
}

export interface Validation {
  /** Reconstruction alone, by the stepper's evaluation `reconstruct`: `fvu`, `l0` and `dead`. */
  reconstruction(stepper: Stepper, threshold: Arrays): Promise<Record<string, number>>;
  /** That and the binding, by the stepper's evaluation `validate`. */
  look(stepper: Stepper, threshold: Arrays): Promise<Look>;
}

/**
 * Measures a stepper's present weights on these rows; `threshold` is `BATCH_TOPK`'s, else empty. Binding is measured for
 * each concept too, under its key.
 */
export function createValidation(
  config: SaeConfig,
  rows: Rows,
  keys: readonly string[],
  options: LabelledBatchOptions,
): Validation {
  const batches = fixedBatches(rows, options, MAX_BATCHES);
  const variance = batches.reduce((sum, { batch }) => sum + sumSquares(batch.x!.data as Float32Array), 0);
  return {
    async reconstruction(stepper, threshold) {
      const tally = createTally(config, variance);
      for (const { batch } of batches) {
        tally.add(await stepper.evaluate('reconstruct', { x: batch.x!, ...threshold }), batch.x!.shape[0]!);
      }
      return tally.values();
    },
    async look(stepper, threshold) {
      const tally = createTally(config, variance);
      const bound = { prompts: 0, right: 0, named: 0, loss: 0 };
      const binding = keys.map(() => keys.map(() => 0));
      for (const { batch, concepts, fresh } of batches) {
        const measured = await stepper.evaluate('validate', { ...batch, ...threshold });
        tally.add(measured, concepts.length);
        bound.loss += measured.loss!.data[0]! / batches.length;
        fresh.forEach((isFresh, i) => {
          if (!isFresh) return;
          const slot = strongest(measured.slots!.data, i, config.nConcepts);
          bound.prompts++;
          bound.right += Number(slot === concepts[i]);
          binding[concepts[i]!]![slot]!++;
          if (measured.valueBest?.data[i] === batch.answers!.data[i]) bound.named++;
        });
      }
      const accuracy = bound.right / bound.prompts;
      const values = {
        'validation/loss': bound.loss,
        'validation/binding': accuracy,
        ...Object.fromEntries(
          binding.flatMap((row, concept) => {
            const prompts = row.reduce((sum, count) => sum + count, 0);
            return prompts > 0 ? [[bindingMetric(keys[concept]!), row[concept]! / prompts]] : [];
          }),
        ),
        ...(config.valueHeads && { 'validation/value': bound.named / bound.prompts }),
        ...tally.values(),
      };
      return { accuracy, loss: bound.loss, values, binding };
    },
  };
}

/** Adds up what evaluations measure of reconstruction; METHOD's FVU, L0 and dead latents. */
function createTally({ nFree }: SaeConfig, variance: number) {
  const fired = new Float64Array(nFree);
  let squaredError = 0;
  let rows = 0;
  return {
    add(measured: Arrays, batchRows: number): void {
      squaredError += measured.squaredError!.data[0]!;
      rows += batchRows;
      measured.rowsFired!.data.forEach((count, latent) => {
        fired[latent]! += count;
      });
    },
    values: () => ({
      fvu: squaredError / variance,
      l0: fired.reduce((sum, count) => sum + count, 0) / rows,
      dead: fired.filter((count) => count === 0).length / nFree,
    }),
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
