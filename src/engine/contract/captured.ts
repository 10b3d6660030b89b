/** What cannot be done with activations alone. */
import type { AlignmentSettings } from './alignmentSettings.ts';
import { usesOfTexts } from './corpus.ts';

/** The setting that needs a model that computes, and why; null where captured activations are enough. */
export function needsModel(settings: AlignmentSettings): { path: string[]; message: string } | null {
  const { mode, weights, posttrain, pretrainOn, positions } = settings;
  const why = 'of this model only activations at last prompt tokens are known';
  if (usesOfTexts(settings).includes('PRETRAIN'))
    return {
      path: ['settings', 'pretrainOn'],
      message: `pretrainOn must be PROMPTS, got ${pretrainOn}: ${why}, and it reads no texts`,
    };
  if (positions === 'ANSWER')
    return {
      path: ['settings', 'positions'],
      message: `positions must be LAST_TOKEN, got ANSWER: ${why}`,
    };
  if (posttrain.steps > 0 && mode === 'SEPARATE_VALUE')
    return {
      path: ['settings', 'mode'],
      message: `mode must be JOINT or SEPARATE_ACTIVATION: value heads name tokens, and ${why}, not its vocabulary`,
    };
  if (posttrain.steps > 0 && weights.silence > 0)
    return {
      path: ['settings', 'weights', 'silence'],
      message: `weights.silence must be 0, got ${weights.silence}: it learns from positions where no concept is asked about, and ${why}`,
    };
  return null;
}
