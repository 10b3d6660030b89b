/** The named presets of an alignment run, and how a caller's partial settings are completed by one. */
import { parseOrThrow } from '../../errors.ts';
import {
  type AlignmentSettings,
  type AlignmentSettingsInput,
  alignmentSettings,
  type Preset,
  preset,
} from './alignmentSettings.ts';
import { merge } from './merge.ts';

/** In what each preset differs from the defaults. */
const DIFFERENCES: Readonly<Record<Preset, AlignmentSettingsInput>> = {
  /** The terms of the paper's curriculum and nothing else. */
  PAPER: {},
  /**
   * `1hop/scripts/04_train_sae.py` of the authors' repository (yminglai/AlignSAE): its terms are sums of squared
   * covariances as ours are; its epochs are of 1,000 people × 6 questions × 2 phrasings.
   */
  AUTHORS: {
    nFree: 10_000,
    orthoStopSlots: false,
    weights: { bindMse: 1, bindCrossEntropy: 0, indep: 1e-2, ortho: 1e-2 },
    weightDecay: 1e-2,
    pretrain: { steps: 9400, learningRate: 1e-3, batchSize: 64, sparse: false },
    posttrain: { steps: 18_800, learningRate: 1e-3, batchSize: 64, schedule: 'CONSTANT' },
  },
  /** With our terms: one teaches a slot's decoder column what a swap should write, one keeps slots silent elsewhere. */
  COUNTERFACTUAL: {
    activation: 'RELU',
    mixEntities: true,
    weights: { ortho: 0, counterfactual: 3, silence: 2 },
  },
};

/** Complete settings by preset name; the API's default is `PAPER`. */
export const ALIGNMENT_PRESETS = Object.fromEntries(
  preset.options.map((name) => [name, alignmentSettings.parse({ ...DIFFERENCES[name], preset: name })]),
) as Readonly<Record<Preset, AlignmentSettings>>;

/**
 * Fills what the caller left out from the preset (`PAPER` if none is named) and checks the whole.
 * @throws {AppError} INVALID_INPUT with the path of each setting that is not acceptable.
 */
export function resolveAlignmentSettings(input: AlignmentSettingsInput): AlignmentSettings {
  const base: AlignmentSettingsInput = ALIGNMENT_PRESETS[input.preset ?? 'PAPER'] ?? {};
  return parseOrThrow(alignmentSettings, merge(base, input), ['settings']);
}
