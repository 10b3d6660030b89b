/** How a step's cost grows with the dictionary, the width and the batch, beside what the machine can do. */
import { totalmem } from 'node:os';
import type { Case } from './cases.ts';
import { posttrain, pretrain } from './recipes.ts';
import type { PosttrainWork, PretrainWork } from './work.ts';

export interface GrowthCase extends Case {
  work: PosttrainWork | PretrainWork;
}

const WIDTHS = [128, 512, 1024];
const DICTIONARIES = [1_000, 10_000, 100_000];
const BATCHES = [64, 512, 4096];
const CONCEPTS = 6;
/** Share of the machine's memory that a step may be expected to take. */
const MEMORY_SHARE = 0.5;
const BYTES = 4; // float32

export const GROWTH_CASES: readonly GrowthCase[] = DICTIONARIES.flatMap((nFree) =>
  WIDTHS.flatMap((dModel) => BATCHES.flatMap((batch) => growthPair(nFree, dModel, batch))),
);

function growthPair(nFree: number, dModel: number, batch: number): GrowthCase[] {
  const named = (stage: string) => `growth-${stage}-${nFree}-${dModel}-${batch}`;
  const shared = { title: '', peers: [], goal: null, tolerance: 0 };
  return [
    {
      ...shared,
      name: named('linear'),
      work: posttrain({ dModel, nFree, nConcepts: CONCEPTS }, batch),
    },
    {
      ...shared,
      name: named('topk'),
      work: pretrain({ dModel, nFree }, batch, { activation: 'TOPK', decoderNorm: 'FREE' }),
    },
  ];
}

/**
 * Floating-point operations that a step needs. Each of five products of `[rows, d]` and `[d, nFree]` (encoder, decoder,
 * their gradients, the latents' gradient) takes 2·rows·d·nFree; independence takes two of `[rows, rows]` and
 * `[rows, nFree]`, orthogonality three of `[C, rows]` and `[rows, nFree]`. With `TOPK`, all but the encoder's product
 * are over the k active latents of a row alone.
 */
export function flops(work: PosttrainWork | PretrainWork): number {
  const { rows, dModel, nFree, k } = work;
  if (work.kind === 'PRETRAIN') return 2 * rows * dModel * nFree + 8 * rows * k * dModel;
  return (10 * dModel + 4 * rows + 6 * work.nConcepts) * rows * nFree;
}

/**
 * Bytes that a step must move if no cache keeps anything: weights, both moments and the gradient are read and written
 * once by the update; the encoder is read once, the decoder twice; latents and their gradient are passed over ten times
 * (`TOPK`: pre-activations twice).
 */
export function bytesMoved({ kind, rows, dModel, nFree }: PosttrainWork | PretrainWork): number {
  const matrix = dModel * nFree;
  const update = 8 * 2 * matrix;
  if (kind === 'PRETRAIN') return BYTES * (update + matrix + 2 * rows * nFree);
  return BYTES * (update + 3 * matrix + 10 * rows * nFree);
}

/** Memory that a step is expected to take: weights, moments and gradients, what loads them, and a dozen latents. */
export function expectedBytes({ rows, dModel, nFree }: PosttrainWork | PretrainWork): number {
  return BYTES * (7 * 2 * dModel * nFree + 12 * rows * nFree);
}

/** Most that `expectedBytes` may be. */
export function memoryLimit(): number {
  return totalmem() * MEMORY_SHARE;
}
