/** The three parts of a dataset. */
import { splits } from '../engine/contract/dataset.ts';
import { enumFrom } from './settings.ts';

export const SplitRef = enumFrom(splits);
