/** The job that measures an SAE that is there on a dataset, as one is measured at the end of its training. */
import type { JobContext } from '../contract/protocol.ts';
import type { SaeEvaluationJob, SaeEvaluationResult } from '../contract/saeEvaluation.ts';
import { promptsOfCaptured } from '../latents/capture.ts';
import { surveyLatents } from '../latents/survey.ts';
import { loadLanguageModel } from '../model/languageModel.ts';
import { promptedBy } from '../model/prompting.ts';
import { readSae } from '../sae/file.ts';
import { Sae } from '../sae/sae.ts';
import { measureSae } from './align.ts';
import { capturePrompts, checkLearnable, reportEntities } from './captured.ts';
import { createPhases } from './phases.ts';
import { splitPopulations } from './population.ts';

/** @throws {AppError} INVALID_INPUT when the dataset has nothing to measure on. */
export async function runSaeEvaluation(
  { model: ref, sae: path, dataset }: SaeEvaluationJob,
  context: JobContext,
): Promise<SaeEvaluationResult> {
  // Of an imported SAE nobody knew the concepts.
  const stored = { ...(await readSae(path)), concepts: dataset.concepts.map(({ key }) => key) };
  const { settings } = stored;
  const populations = splitPopulations(dataset, settings);
  checkLearnable({ settings, model: ref, dataset }, populations);
  reportEntities(context, populations, dataset);
  const phases = createPhases(context.reporter);
  const breathe = () => context.reporter.breathe();
  phases.at('CAPTURE', 0);
  const loaded = await loadLanguageModel(ref);
  const sae = new Sae(stored);
  try {
    const model = promptedBy(loaded, dataset);
    const captured = await capturePrompts(model, populations, settings, context);
    phases.at('EVALUATE', 0);
    const measured = await measureSae({ model, sae, captured, breathe });
    phases.at('EVALUATE', 0.5);
    const survey = await surveyLatents(sae, promptsOfCaptured(model, sae, dataset, captured), breathe);
    phases.at('EVALUATE', 1);
    return { kind: 'SAE_EVALUATION', ...measured, survey };
  } finally {
    sae.dispose();
    loaded.dispose();
  }
}
