/** Settings of a grokking run besides those of its parts: at which steps a model is kept, and when to end early. */
import { z } from 'zod';
import { namedEnum, namedObject, number, whole, withFallback } from './describe.ts';

/** Checkpoints that a run may keep, the untrained model counted. */
export const MAX_CHECKPOINTS = 256;
export const DEFAULT_CHECKPOINTS = 16;

const checkpointSpacing = namedEnum('CheckpointSpacing', 'How checkpoints are spread over a training.', {
  LINEAR: 'Evenly.',
  LOG: 'By equal ratios of steps: dense at the beginning, where most changes.',
});

export const checkpointSchedule = namedObject(
  'CheckpointSchedule',
  `After which steps of its training a model is kept; at most ${MAX_CHECKPOINTS} of them.`,
  {
    schedule: withFallback(
      checkpointSpacing
        .describe('How they are spread, from the untrained model (step 0) to the last step.')
        .optional(),
      'LOG',
    ),
    count: withFallback(
      whole(1, MAX_CHECKPOINTS - 1)
        .describe('How many besides the untrained model; those that LOG puts on one step are one.')
        .optional(),
      String(DEFAULT_CHECKPOINTS),
    ),
    steps: z
      .array(z.int())
      .describe('The steps themselves, in the place of `schedule` and `count`; 0 is before training.')
      .optional(),
  },
);
export type CheckpointSchedule = z.input<typeof checkpointSchedule>;

export const stopMeasure = namedEnum('GrokkingStopMeasure', 'What a stop rule looks at.', {
  HELD_OUT_ACCURACY: 'Accuracy on held-out questions.',
  DIAGONAL_STRENGTH: 'Diagonal strength of the hop where it is less.',
});

/** Training ends at the last of `checkpoints` in a row whose measure is at least `threshold`. */
export const stopRule = namedObject(
  'GrokkingStopRule',
  'Ends the run at the last of so many checkpoints in a row whose measure is at least the threshold. Training ends as SUCCEEDED with the model of that checkpoint; what was trained or analysed beyond is left out, so that the outcome does not depend on how fast the workers are.',
  {
    measure: stopMeasure.describe('What to look at.'),
    threshold: number(0, 1).describe('What the measure must be at least.'),
    checkpoints: whole(1, MAX_CHECKPOINTS).describe('At how many checkpoints in a row.').default(1),
  },
);
export type StopRule = z.output<typeof stopRule>;

export const lastSae = z
  .boolean()
  .describe(
    'Whether the SAEs of the last checkpoint read all others too, beside those of their own: how early the model holds what it ends with, in one dictionary. Excludes `stop`.',
  )
  .default(false);
