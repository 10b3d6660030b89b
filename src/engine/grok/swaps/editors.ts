/** What is edited at a hop in the place of one relation by another: the slots, and the controls beside them. */

import { createRandom } from '../../../random.ts';
import type { CapturedPrompt } from '../../align/captured.ts';
import { findConceptLatents } from '../../align/conceptLatents.ts';
import { freeScales } from '../../align/swapEvaluation.ts';
import { setsLatent } from '../../align/swapMethods.ts';
import { trainBaseline } from '../../align/training.ts';
import { resolveBaselineSettings } from '../../contract/baselineSettings.ts';
import type { EngineDataset } from '../../contract/dataset.ts';
import type { HopEdit } from '../../contract/hopSwap.ts';
import type { JobContext } from '../../contract/protocol.ts';
import type { SwapMethod } from '../../contract/swap.ts';
import type { LanguageModel } from '../../model/languageModel.ts';
import type { StoredSae } from '../../sae/file.ts';
import { Sae } from '../../sae/sae.ts';
import { type HopActivations, quietly } from '../hopSae.ts';

/** What stands for a relation: in which SAE, which latent, and what alpha 1 sets it to. */
export interface HopEditor {
  edited: HopEdit;
  sae: Sae;
  methods: readonly SwapMethod[];
  latentOf: (relation: number, role: 'off' | 'on') => { latent: number; scale: number };
}

/** The slots, and the controls: the best latents of an unsupervised SAE as large, random ones, and no SAE at all. */
export async function prepareEditors(
  model: LanguageModel,
  stored: StoredSae,
  hops: readonly HopActivations[],
  dataset: EngineDataset,
  asked: readonly SwapMethod[],
  context: JobContext,
) {
  const { nFree, nConcepts } = stored.config;
  const rows = hops.flatMap((hop) => asPrompts(hop, model));
  const methods = asked.filter((method) => method !== 'MEAN_DIFFERENCE');
  const captured = { SEEN: rows, VALIDATION: [], UNSEEN: [] };
  const { seed, layer } = stored.settings;
  const settings = resolveBaselineSettings({ seed, layer, nFree: nFree + nConcepts }, nConcepts);
  const quiet = { ...context, resumeFrom: null, reporter: quietly(context.reporter) };
  const baseline = new Sae(await trainBaseline({ model, dataset, captured, settings }, quiet, () => {}));
  const best = await findConceptLatents(baseline, captured, () => context.reporter.breathe());
  const sae = new Sae(stored);
  const scales = freeScales(sae, rows);
  const random = dataset.concepts.map((_, concept) => {
    const draw = createRandom(seed, 'hop-random-latents', concept);
    return { off: draw.int(nFree), on: draw.int(nFree) };
  });
  const slot = (relation: number) => ({ latent: sae.slot(relation), scale: 1 });
  const all: HopEditor[] = [
    { edited: 'CONCEPT', sae, methods, latentOf: slot },
    {
      ...{ edited: 'UNSUPERVISED_LATENT', sae: baseline, methods },
      latentOf: (relation) => ({ latent: best[relation]!.latent, scale: best[relation]!.meanActivation }),
    },
    {
      ...{ edited: 'RANDOM_LATENT', sae, methods },
      latentOf: (relation, role) => ({
        latent: random[relation]![role],
        scale: scales[random[relation]![role]]!,
      }),
    },
  ];
  if (asked.includes('MEAN_DIFFERENCE'))
    all.push({ edited: 'MEAN_DIFFERENCE', sae, methods: ['MEAN_DIFFERENCE'], latentOf: slot });
  const dispose = () => {
    sae.dispose();
    baseline.dispose();
  };
  return { all, dispose };
}

/** Edits at an alpha, which counts in the latent's own scale where the method sets latents. */
export function createHopEdits({ latentOf }: Pick<HopEditor, 'latentOf'>, method: SwapMethod) {
  return ({ source, target }: { source: number; target: number }, alpha: number) => {
    const on = latentOf(target, 'on');
    return {
      off: latentOf(source, 'off').latent,
      on: on.latent,
      alpha: setsLatent(method) ? alpha * on.scale : alpha,
    };
  };
}

/** The form in which one-hop questions are captured, so that baselines and their latents are found the same way. */
function asPrompts(
  { h, relations, entities, answers }: HopActivations,
  model: LanguageModel,
): CapturedPrompt[] {
  const { dModel } = model.config;
  return relations.map((relation, i) => ({
    ...{ id: String(i), prompt: '', answer: model.tokenizer.decode([answers[i]!]), template: '' },
    ...{ entity: entities[i]!, concepts: [relation], split: 'TRAIN' },
    h: h.subarray(i * dModel, (i + 1) * dModel),
  }));
}
