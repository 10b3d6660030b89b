/** The seed of a run's settings. */
import { z } from 'zod';

export const seed = z
  .number()
  .int()
  .min(0)
  .max(2 ** 31 - 1);
