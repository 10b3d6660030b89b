/** Settings of any run as keys and values, and which of them are not what they would be by default. */
import type { Run } from '../db/queries/runs.ts';
import { ALIGNMENT_PRESETS } from '../engine/contract/alignmentPresets.ts';
import { FINE_TUNING_DEFAULTS } from '../engine/contract/modelSettings.ts';
import { completeSettings, type RunKind, type RunSettings } from '../engine/contract/runs.ts';

export interface SettingValue {
  /** Dotted, such as `weights.ortho`. */
  key: string;
  /** As JSON. */
  value: string;
  /** What it is by default, as JSON; null where it has no default. */
  fallback: string | null;
}

/** All settings of a run, in the order in which they are described; not the pairs of a swap sweep. */
export function settingValues({ kind, settings, initialModelId }: Run): SettingValue[] {
  const own = completeSettings(kind, settings as RunSettings[typeof kind]);
  const fallbacks = new Map(leavesOf(fallbackOf(kind, own, initialModelId !== null)));
  return leavesOf(own)
    .filter(([key]) => !(kind === 'SWAP_SWEEP' && key === 'pairs'))
    .map(([key, value]) => ({ key, value, fallback: fallbacks.get(key) ?? null }));
}

/** Those that differ from the preset, or from the defaults of kinds without presets. */
export function changedSettings(run: Run): SettingValue[] {
  return settingValues(run).filter(({ value, fallback }) => value !== fallback);
}

function fallbackOf(kind: RunKind, own: object, isFineTuning: boolean): object {
  const plain = completeSettings(kind, { ...EMPTY[kind] } as RunSettings[typeof kind]);
  switch (kind) {
    case 'MODEL': {
      if (!isFineTuning) return plain;
      const { nLayers, nHeads, dModel, nCtx, initStd } = own as RunSettings['MODEL'];
      return { ...plain, ...FINE_TUNING_DEFAULTS, nLayers, nHeads, dModel, nCtx, initStd };
    }
    case 'ALIGNMENT':
      return ALIGNMENT_PRESETS[(own as RunSettings['ALIGNMENT']).preset];
    case 'ALIGNMENT_SWEEP': {
      const { preset, layer, seed } = (own as RunSettings['ALIGNMENT_SWEEP']).alignment;
      return { alignment: { ...ALIGNMENT_PRESETS[preset], layer, seed } };
    }
    case 'GROKKING':
      return (own as RunSettings['GROKKING']).model === null ? { ...plain, model: null } : plain;
    default:
      return plain;
  }
}

/** Where settings of settings begin, so that they are filled. */
const EMPTY: Partial<Record<RunKind, object>> = {
  GROKKING: { analysis: {}, model: {}, stop: null },
  HOP_SWAP: { analysis: {}, swaps: {} },
};

/** Dotted paths with values as JSON; lists are values. */
export function leavesOf(settings: object, prefix = ''): [string, string][] {
  return Object.entries(settings).flatMap(([key, value]): [string, string][] =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? leavesOf(value, `${prefix}${key}.`)
      : value === undefined
        ? []
        : [[`${prefix}${key}`, JSON.stringify(value)]],
  );
}
