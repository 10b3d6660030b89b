/** What alignments and baselines, which train an SAE on one-hop prompts, show alike. */
import { conceptLatentsOfRuns, faithfulnessOfRuns } from '../../runs/sae.ts';
import { type Run, resultOf, settingsOf } from '../../services/run.ts';
import { measuresOfRuns, type SplitMeasures } from '../../services/slot.ts';
import type { Context } from '../context.ts';
import { BindingRef, ConceptLatentRef, FaithfulnessRef, ReconstructionRef } from '../measures.ts';
import { SaeLensRef, saeLensFilesOf } from '../saeLens.ts';
import { SplitRef } from '../split.ts';
import type { FieldBuilder } from './node.ts';

/** The fields; `texts` describe those that mean something else in each. */
export function saeFields(
  t: FieldBuilder,
  texts: { layer: string; conceptLatents: string; binding: string },
) {
  return {
    layer: t.int({
      description: texts.layer,
      resolve: (run) => settingsOf(run, 'ALIGNMENT', 'BASELINE').layer,
    }),
    sinks: t.int({
      nullable: true,
      description:
        'How many activations were left out of training as sinks: longer than 3 × the median of those at the last token of the TRAIN prompts that the SAE learns from. Null before the end, and of runs older than the count.',
      resolve: (run) => resultOf(run, 'ALIGNMENT', 'BASELINE')?.sinks,
    }),
    saeLens: t.field({
      type: SaeLensRef,
      description: 'Its SAE as files for SAELens.',
      resolve: (run) => saeLensFilesOf(run),
    }),
    ...measureFields(t, texts),
  };
}

/** What is measured of an SAE on a dataset. */
export function measureFields(t: FieldBuilder, texts: { conceptLatents: string; binding: string }) {
  const onSplit = { split: t.arg({ type: SplitRef, required: true, description: 'On which prompts.' }) };
  return {
    conceptLatents: t.field({
      type: [ConceptLatentRef],
      description: texts.conceptLatents,
      resolve: (run, _args, { loaders }) => loaders.load(conceptLatentsOfRuns, run.id),
    }),
    binding: t.field({
      type: BindingRef,
      nullable: true,
      description: texts.binding,
      args: onSplit,
      resolve: measuresOn,
    }),
    reconstruction: t.field({
      type: ReconstructionRef,
      nullable: true,
      description: 'How well the SAE rebuilds the activations; null before the end.',
      args: onSplit,
      resolve: measuresOn,
    }),
    faithfulness: t.field({
      type: [FaithfulnessRef],
      description:
        'What the model still answers with its activations replaced; empty before the end, and for a model without weights.',
      args: onSplit,
      resolve: async ({ id }, { split }, { loaders }) =>
        (await loaders.load(faithfulnessOfRuns, id)).filter((measure) => measure.split === split),
    }),
  };
}

/** Binding and reconstruction of a run's SAE on a split. */
async function measuresOn({ id }: Run, { split }: Pick<SplitMeasures, 'split'>, { loaders }: Context) {
  return (await loaders.load(measuresOfRuns, id)).find((measures) => measures.split === split);
}
