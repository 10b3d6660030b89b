/** Settings of a swap sweep. */
import { z } from 'zod';
import { splits } from './dataset.ts';
import { count, distinct, namedEnum, namedObject, number, whole, withFallback } from './describe.ts';
import { seed } from './seed.ts';
import { knownOnly, swapMethod, swapPlacement, swapPopulation } from './swap.ts';

export const sweepControl = namedEnum(
  'SweepControl',
  'What a control of a sweep edits in the place of the slots.',
  {
    UNSUPERVISED_LATENT:
      'The best single latent that an unsupervised SAE of the same size has for each concept; alpha counts in its mean activation.',
    RANDOM_LATENT:
      'Random free latents of the same SAE, drawn for each pair; alpha counts in their mean activation.',
    MEAN_DIFFERENCE:
      'No SAE: the difference of the mean activations of the two concepts, times alpha, is added.',
    TRUE_ACTIVATION:
      'No SAE: the activation of the prompt that asks the target of the same entity, in the same phrasing, followed by the tokens made so far. About the ceiling of any edit in this layer at these tokens. Swaps of which the dataset has no such prompt are left out. It cannot be armed: with ARMED it stands where ANSWER does, and it has no isolation.',
    PROMPT:
      'No edit: the prompt that asks the target of the same entity, in the same phrasing, is asked outright. What the model itself knows, and so the ceiling of prompting it. Swaps of which the dataset has no such prompt are left out, and there is no isolation.',
    SUM: 'No SAE: at the last prompt token the sum of what the entity and what the target add to an activation, by least squares on TRAIN prompts; at later tokens the difference of what the two concepts add is added. About what one direction a concept can reach: where it is low, an activation is no longer such a sum. It cannot be armed either.',
    UNSUPERVISED_LATENTS:
      'The five best latents together that the unsupervised SAE has for each concept, by AUROC on TRAIN prompts of SEEN entities: alpha counts in the mean activation of each, a direction is their columns added in these proportions, and armed it fires where the best of them is on.',
    LINEAR_PROBE:
      'No SAE: the direction in which a linear probe tells the two concepts apart (multinomial logistic regression on the activations of TRAIN prompts of SEEN entities; Alain & Bengio 2016), added as Li et al. 2023 add a probe’s. Alpha 1 moves the mean activation of one concept as far along it as that of the other. `SwapSweepRun.linearProbe` tells how well it reads. Armed, it fires with the slots.',
    DAS: 'No SAE: distributed alignment search (Geiger et al. 2023). In a subspace of `dasDimensions` the activation becomes that of a prompt which asks the target of another entity, followed by the tokens made so far; outside of it it stays. The subspace is trained so that the model then gives the entity’s own answer, on the swaps that alignments learn from (SEEN entities, TRAIN phrasings, nothing that was withheld). `SwapSweepRun.das` tells what was chosen. It cannot be armed either.',
  },
);
/** Those that a sweep measures where none are named. */
const USUAL_CONTROLS = [
  'UNSUPERVISED_LATENT',
  'RANDOM_LATENT',
  'MEAN_DIFFERENCE',
  'TRUE_ACTIVATION',
  'SUM',
] as const satisfies readonly z.output<typeof sweepControl>[];
export type SweepControl = z.output<typeof sweepControl>;

/** Whether some of them need an SAE without labels. */
export function usesUnsupervised(controls: readonly SweepControl[]): boolean {
  return controls.includes('UNSUPERVISED_LATENT') || controls.includes('UNSUPERVISED_LATENTS');
}

/** Alphas as a slot counts them; the large ones are there for the controls, whose latents may need more. */
const ALPHAS = [0.25, 0.5, 0.75, 1, 1.25, 1.5, 2, 2.5, 5, 10, 20];

/** Alpha at the tokens of an answer; of one-off swaps too. */
export const alphaLater = withFallback(
  number(-1000, 1000)
    .describe('Alpha at the tokens of the answer, where the placement edits them: ANSWER and ARMED.')
    .optional(),
  '1 for ANSWER, and alpha itself for ARMED',
);

export const sweepSettings = namedObject(
  'SwapSweepSettings',
  'What a swap sweep tries, and on which prompts.',
  {
    seed: seed.describe('Seeds the draw of prompts and of random latents.').default(0),
    methods: distinct(swapMethod, { min: 1 })
      .describe('Methods tried.')
      .default([...swapMethod.options]),
    alphas: distinct(number(-1000, 1000), { min: 1, max: 64 })
      .describe('Alphas tried with every method; large ones are there for the controls.')
      .default(ALPHAS),
    controls: distinct(sweepControl)
      .describe('Controls measured on the same prompts.')
      .default([...USUAL_CONTROLS]),
    dasDimensions: distinct(count(64), { min: 1, max: 8 })
      .describe(
        'Dimensions of the subspace of DAS, of which the sweep keeps the one that does best on VALIDATION entities.',
      )
      .default([1, 4, 16]),
    dasSteps: count(100_000)
      .describe('Training steps of DAS for each of them, 32 swaps a step.')
      .default(200),
    population: swapPopulation.describe('The entities that are asked about.').default('UNSEEN'),
    split: splits.describe('The phrasings that are asked.').default('TEST_OOD'),
    withheldOnly: z
      .boolean()
      .describe(
        'Whether only swaps are tried that the alignment was never shown: those of `withheldPairShare` and `withheldTargets`. The pairs were withheld of SEEN entities; an UNSEEN one was never shown at all.',
      )
      .default(false),
    knownOnly,
    placement: swapPlacement
      .describe('Where success is measured; isolation is always ARMED.')
      .default('LAST_TOKEN'),
    alphaLater,
    keepTrials: z
      .boolean()
      .describe(
        'Whether every swap of every cell is kept, with what it made the model answer: `trials` shows them, and an export has them all. 100,000 take a few megabytes.',
      )
      .default(false),
    promptsPerPair: whole(1, 10_000)
      .describe('Swaps tried for each pair, as far as there are prompts.')
      .default(20),
    isolationPerPair: whole(0, 10_000)
      .describe(
        'Prompts about other concepts, and as many texts, on which the armed swap of each pair must change nothing, and as many texts about the source; 0 leaves isolation out.',
      )
      .default(20),
  },
);

export type SweepSettings = z.output<typeof sweepSettings>;
export type SweepSettingsInput = z.input<typeof sweepSettings>;
