/** The two named presets of an alignment run, and how a caller's partial settings are completed by one. */
import { parseOrThrow } from '../../errors.ts';
import {
  type AlignmentSettings,
  type AlignmentSettingsInput,
  alignmentSettings,
  type LossWeights,
  type Preset,
} from './alignmentSettings.ts';

const PAPER_WEIGHTS: LossWeights = {
  recon: 1,
  sparse: 1e-3,
  aux: 0,
  bindMse: 6,
  bindCrossEntropy: 1,
  bindLogitScale: 5,
  indep: 0,
  ortho: 10,
  value: 0.5,
  counterfactual: 0,
  silence: 0,
};

const PAPER: AlignmentSettings = {
  seed: 0,
  preset: 'PAPER',
  layer: 0,
  nFree: 1024,
  activation: 'LINEAR',
  k: 32,
  decoderNorm: 'FREE',
  deadAfter: 50,
  mode: 'JOINT',
  orthoStopSlots: true,
  weights: PAPER_WEIGHTS,
  mixEntities: false,
  withheldPairShare: 0,
  withheldTargets: [],
  pretrain: { steps: 300, learningRate: 3e-3, batchSize: 256 },
  posttrain: { steps: 800, learningRate: 3e-3, batchSize: 256 },
  valueHidden: 256,
  unseenShare: 0.2,
  validationShare: 0.1,
  alphas: [0.5, 0.75, 1, 1.25, 1.5, 2, 3, 5, 10],
  swapTrials: 400,
  validateEvery: 25,
  logEvery: 10,
};

/** Complete settings by preset name; the API's default is `PAPER`. */
export const ALIGNMENT_PRESETS: Readonly<Record<Preset, AlignmentSettings>> = {
  /** The terms of the paper's curriculum and nothing else; `indep` is off, for it costs the most time of all terms. */
  PAPER,
  /** With our terms: one teaches a slot's decoder column what a swap should write, one keeps slots silent elsewhere. */
  COUNTERFACTUAL: {
    ...PAPER,
    preset: 'COUNTERFACTUAL',
    activation: 'RELU',
    mixEntities: true,
    weights: { ...PAPER_WEIGHTS, ortho: 0, counterfactual: 3, silence: 2 },
  },
};

/**
 * Fills what the caller left out from the preset (`PAPER` if none is named) and checks the whole.
 * @throws {AppError} INVALID_INPUT with the path of each setting that is not acceptable.
 */
export function resolveAlignmentSettings(input: AlignmentSettingsInput): AlignmentSettings {
  const preset = ALIGNMENT_PRESETS[input.preset ?? 'PAPER'] ?? PAPER;
  return parseOrThrow(alignmentSettings, merge(preset, input), ['settings']);
}

/** `input` over `base`, one level deep; undefined counts as left out. */
function merge(base: object, input: object): Record<string, unknown> {
  const merged: Record<string, unknown> = { ...base };
  for (const [key, value] of Object.entries(input)) {
    if (value === undefined) continue;
    merged[key] = isRecord(value) && isRecord(merged[key]) ? merge(merged[key], value) : value;
  }
  return merged;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
