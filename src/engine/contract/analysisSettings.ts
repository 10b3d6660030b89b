/** Settings of the analysis of a checkpoint. */
import { z } from 'zod';
import { alignmentSettings } from './alignmentSettings.ts';
import { count, namedEnum, namedObject, whole } from './describe.ts';

const { shape } = alignmentSettings;

const hopPositions = namedEnum('HopPositions', 'The tokens at which swaps of a hop edit.', {
  ANSWERING:
    'Where the hop’s answer is predicted: the last token of the question for hop 1, the last of E2 for hop 2. Blocks above may read the relation again from its own token.',
  RELATION:
    'There and at the relation’s own token in the question, R1’s or R2’s, each with an SAE and a normalisation of its own, edited together. Questions must name both relations by their labels, the second first.',
});

export const grokSettings = namedObject(
  'CheckpointAnalysisSettings',
  'How a checkpoint is analysed: an SAE is trained on its activations at the two positions, with a slot a relation.',
  {
    seed: shape.seed
      .unwrap()
      .describe('Seeds every random draw; the same for all checkpoints of a run.')
      .default(0),
    layer: shape.layer
      .unwrap()
      .describe('Block whose residual stream is read, from 0; -1 is the stream before the first block.')
      .default(0),
    preset: shape.preset
      .unwrap()
      .describe('The loss terms that the SAE is trained by, and its activation.')
      .default('COUNTERFACTUAL'),
    withheldPairShare: shape.withheldPairShare
      .unwrap()
      .describe(
        'Share of pairs of entity (at the second hop E2) and relation that no counterfactual leads to, so that swaps can be judged by them.',
      )
      .default(0.2),
    nFree: shape.nFree.unwrap().describe('Free latents of the SAE.').default(512),
    shared: z
      .boolean()
      .describe('One SAE over both positions, with one slot a relation; otherwise one SAE for each.')
      .default(true),
    positions: hopPositions
      .describe('Where swaps of a hop edit; binding is measured where its answer is predicted.')
      .default('ANSWERING'),
    pretrainSteps: whole(0, 1_000_000).describe('Training steps of the SAE without labels.').default(200),
    posttrainSteps: whole(0, 1_000_000).describe('Training steps of the SAE with labels.').default(400),
    maxQuestions: count(1_000_000)
      .describe('Most questions of a split that are measured on, drawn by the seed.')
      .default(2000),
  },
);

export type GrokSettings = z.output<typeof grokSettings>;
export type GrokSettingsInput = z.input<typeof grokSettings>;
