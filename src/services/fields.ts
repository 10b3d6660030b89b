/** Fields that the requests of several services have, with what is said of a wrong one. */
import { z } from 'zod';

export const finite = z.number({ error: 'must be a finite number' });

export const whole = (min: number, max: number) =>
  z
    .int({ error: 'must be a whole number' })
    .min(min, { error: `must be at least ${min}` })
    .max(max, { error: `must be at most ${max}` });

/** The strength of an intervention. */
export const alpha = finite
  .min(-1000, { error: 'must be at least -1000' })
  .max(1000, { error: 'must be at most 1000' });
