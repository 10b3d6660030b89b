/** The controls of a sweep: the same swaps with latents that nobody bound, and without any SAE. */

import { resolveBaselineSettings } from '../../contract/baselineSettings.ts';
import type { JobContext } from '../../contract/protocol.ts';
import type { SwapSweepJob, SweepBaseline } from '../../contract/swapSweep.ts';
import type { LanguageModel } from '../../model/languageModel.ts';
import { loadSae, Sae } from '../../sae/sae.ts';
import type { CapturedPopulations } from '../captured.ts';
import { capturePrompts } from '../captured.ts';
import { findConceptLatents } from '../conceptLatents.ts';
import { splitPopulations } from '../population.ts';
import { freeScales } from '../swapEvaluation.ts';
import { trainBaseline } from '../training.ts';
import { randomLatents, type SweepEditor, slotLatents, unsupervisedLatents } from './editors.ts';

export interface Controls {
  editors: SweepEditor[];
  /** Frees what the controls loaded. */
  dispose(): void;
}

/** Every control asked for, with the sweep's methods; mean difference is a method of its own and needs no latents. */
export async function prepareControls(
  job: SwapSweepJob,
  model: LanguageModel,
  sae: Sae,
  context: JobContext,
): Promise<Controls> {
  const { settings, pairs, dataset } = job;
  const { controls } = settings;
  const methods = settings.methods.filter((method) => method !== 'MEAN_DIFFERENCE');
  const editors: SweepEditor[] = [];
  const populations = splitPopulations(dataset, sae.settings);
  // All prompts of the dataset, for those controls alone that need them.
  let captured: Promise<CapturedPopulations> | null = null;
  const capture = () => (captured ??= capturePrompts(model, populations, sae.settings, context));
  const baseline = controls.includes('UNSUPERVISED_LATENT')
    ? await obtainBaseline(job, model, sae, capture, context)
    : null;
  if (baseline) {
    const latents = unsupervisedLatents(baseline.latents, pairs);
    editors.push({ edited: 'UNSUPERVISED_LATENT', sae: baseline.sae, latents, methods });
  }
  if (controls.includes('RANDOM_LATENT')) {
    const latents = randomLatents(sae, freeScales(sae, learnedOf(await capture())), pairs, settings.seed);
    editors.push({ edited: 'RANDOM_LATENT', sae, latents, methods });
  }
  if (controls.includes('MEAN_DIFFERENCE') || settings.methods.includes('MEAN_DIFFERENCE')) {
    const latents = slotLatents(sae, pairs);
    editors.push({ edited: 'MEAN_DIFFERENCE', sae, latents, methods: ['MEAN_DIFFERENCE'] });
  }
  return { editors, dispose: () => baseline?.sae.dispose() };
}

interface LoadedBaseline {
  sae: Sae;
  latents: SweepBaseline['latents'];
}

/** The baseline that the job names, or one trained on the spot: as large as the alignment's SAE, on the same entities. */
async function obtainBaseline(
  { baseline, dataset }: SwapSweepJob,
  model: LanguageModel,
  { config, settings }: Sae,
  capture: () => Promise<CapturedPopulations>,
  context: JobContext,
): Promise<LoadedBaseline> {
  if (baseline) return { sae: await loadSae(baseline.sae), latents: baseline.latents };
  const captured = await capture();
  context.reporter.log(
    'INFO',
    'no baseline run fits this alignment: the sweep trains an unsupervised SAE by itself',
  );
  const { seed, layer, unseenShare, validationShare } = settings;
  const size = { nFree: config.nFree + config.nConcepts };
  const shares = { seed, layer, unseenShare, validationShare };
  const training = {
    ...{ model, dataset, captured },
    settings: resolveBaselineSettings({ ...shares, ...size }, config.nConcepts),
  };
  const stored = await trainBaseline(training, context, () =>
    context.reporter.progress({ phase: 'BASELINE', progress: 0, etaSeconds: null }),
  );
  const sae = new Sae(stored);
  return { sae, latents: await findConceptLatents(sae, captured, () => context.reporter.breathe()) };
}

function learnedOf({ SEEN }: CapturedPopulations): CapturedPopulations['SEEN'] {
  return SEEN.filter(({ split }) => split === 'TRAIN');
}
