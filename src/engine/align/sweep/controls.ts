/** The controls of a sweep: the same swaps with latents that nobody bound, and without any SAE. */
import type { LanguageModel } from '../../model/languageModel.ts';
import type { JobContext } from '../../protocol.ts';
import { type LoadedSae, loadSae } from '../../sae/file.ts';
import { captureResidPost } from '../capture.ts';
import { splitPopulations } from '../population.ts';
import { freeScales } from '../swapEvaluation.ts';
import { randomLatents, type SweepEditor, slotLatents, unsupervisedLatents } from './editors.ts';
import type { SwapSweepJob } from './job.ts';

export interface Controls {
  editors: SweepEditor[];
  /** Frees what the controls loaded. */
  dispose(): void;
}

/** Every control asked for, with the sweep's methods; mean difference is a method of its own and needs no latents. */
export async function prepareControls(
  job: SwapSweepJob,
  model: LanguageModel,
  sae: LoadedSae,
  context: JobContext,
): Promise<Controls> {
  const { settings, pairs } = job;
  const methods = settings.methods.filter((method) => method !== 'MEAN_DIFFERENCE');
  const editors: SweepEditor[] = [];
  let baseline: LoadedSae | null = null;
  if (settings.controls.includes('UNSUPERVISED_LATENT') && job.baseline) {
    baseline = await loadSae(job.baseline.sae);
    const latents = unsupervisedLatents(job.baseline.latents, pairs);
    editors.push({ edited: 'UNSUPERVISED_LATENT', sae: baseline, latents, methods });
  }
  if (settings.controls.includes('RANDOM_LATENT')) {
    const scales = await meanActivations(job, model, sae, context);
    const latents = randomLatents(sae, scales, pairs, settings.seed);
    editors.push({ edited: 'RANDOM_LATENT', sae, latents, methods });
  }
  if (settings.controls.includes('MEAN_DIFFERENCE') || settings.methods.includes('MEAN_DIFFERENCE')) {
    const latents = slotLatents(sae, pairs);
    editors.push({ edited: 'MEAN_DIFFERENCE', sae, latents, methods: ['MEAN_DIFFERENCE'] });
  }
  return { editors, dispose: () => baseline?.dispose() };
}

/** Mean activation of each free latent where it fires, on the prompts that the SAE learned from; `[nFree]`. */
async function meanActivations(
  { dataset }: SwapSweepJob,
  model: LanguageModel,
  sae: LoadedSae,
  { reporter }: JobContext,
): Promise<Float32Array> {
  const { prompts, populationOf } = splitPopulations(dataset, sae.settings);
  const learned = prompts.filter(({ split, entity }) => split === 'TRAIN' && populationOf(entity) === 'SEEN');
  const tokens = learned.map(({ prompt }) => model.tokenizer.encode(prompt));
  const { layer } = sae.settings;
  const h = await captureResidPost(model, tokens, { layer, breathe: () => reporter.breathe() });
  const { dModel } = sae.config;
  return freeScales(
    sae,
    learned.map((prompt, i) => ({ ...prompt, h: h.subarray(i * dModel, (i + 1) * dModel) })),
  );
}
