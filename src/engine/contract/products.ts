/** How the kernels multiply matrices, chosen by what was measured when the engine was built; plain data. */
import type { z } from 'zod';
import { namedEnum } from './describe.ts';

/** In the order in which `kernels/implementations.h` numbers them. */
export const productShape = namedEnum(
  'ProductShape',
  'A kind of matrix product, by its shape and how its operands lie in memory.',
  {
    FEW_ROWS: 'At most 128 rows by a matrix.',
    FEW_ROWS_DEEP: 'At most 128 rows by a matrix, sums over more than 1,024.',
    MANY_ROWS: 'More rows by a matrix.',
    MANY_ROWS_DEEP: 'More rows by a matrix, sums over more than 1,024.',
    LEFT_TURNED: 'The left matrix transposed, as in gradients of weights.',
    LEFT_TURNED_DEEP: 'The left matrix transposed, sums over more than 1,024.',
    RIGHT_TURNED: 'The right matrix transposed, as in gradients of inputs.',
    RIGHT_TURNED_DEEP: 'The right matrix transposed, sums over more than 1,024.',
  },
);
export type ProductShape = z.output<typeof productShape>;

/** One way to multiply, and its speed with one kind of shape. */
export interface ProductTrial {
  /** Of the tile of the result that stays in registers. */
  rows: number;
  columns: number;
  /** Of the right matrix, which are packed and worked on together. */
  panelBytes: number;
  /** Billions of operations in a second of processor time, of one core. */
  gigaflops: number;
  chosen: boolean;
}

export interface ProductChoice {
  shape: ProductShape;
  trials: ProductTrial[];
}
