/** The seed of a run's settings. */
import { whole } from './describe.ts';

export const seed = whole(0, 2 ** 31 - 1);
