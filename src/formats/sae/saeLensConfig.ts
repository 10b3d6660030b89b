/** `cfg.json` of SAELens, of version 6 and those before, which had other keys and defaults. */
import { type AppError, invalidInput } from '../../errors.ts';
import { chooseLayer, layerOfHook } from './hook.ts';
import type { ForeignSae, ImportHints } from './saeFile.ts';

const FILE = 'cfg.json';
/** More than any SAE has, so that no number drives an allocation unchecked. */
const MAX = { d_in: 65_536, d_sae: 1 << 22 };

type Raw = Readonly<Record<string, unknown>>;

const ARCHITECTURES = ['standard', 'gated', 'jumprelu', 'topk', 'batchtopk'] as const;

/**
 * What `cfg.json` says.
 * @throws AppError INVALID_INPUT naming the key, its value and what is supported.
 */
export function readSaeLensConfig(given: Raw, hints: ImportHints): ForeignSae {
  const raw = isBeforeSix(given) ? asSix(given) : given;
  const architecture = raw.architecture;
  if (!ARCHITECTURES.includes(architecture as never))
    throw unsupported('architecture', architecture, ARCHITECTURES.join(', '));
  only(raw, 'reshape_activations', ['none']);
  only(raw, 'finetuning_scaling_factor', [false]);
  only(raw, 'hook_head_index', [null]);
  const hook = text(raw, 'hook_name');
  return {
    architecture: architecture as ForeignSae['architecture'],
    dIn: size(raw, 'd_in'),
    dSae: size(raw, 'd_sae'),
    k: architecture === 'topk' || architecture === 'batchtopk' ? readK(raw) : 1,
    takesOffBias: flag(raw, 'apply_b_dec_to_input', true),
    rescales:
      (architecture === 'topk' || architecture === 'batchtopk') &&
      flag(raw, 'rescale_acts_by_decoder_norm', false),
    inputScale: readScale(raw, hints),
    layer: chooseLayer(hook === null ? null : layerOfHook(hook, FILE), hints.layer, FILE),
  };
}

/** Version 6 says its version in the metadata; without one SAELens takes a file for an older one, too. */
function isBeforeSix(raw: Raw): boolean {
  const version = raw.sae_lens_version ?? metadataOf(raw).sae_lens_version;
  return typeof version !== 'string' || !/^([6-9]|[1-9]\d+)\./.test(version);
}

function metadataOf(raw: Raw): Raw {
  const { metadata } = raw;
  return typeof metadata === 'object' && metadata !== null ? (metadata as Raw) : {};
}

/** SAELens' own reading of what versions before 6 wrote (`handle_pre_6_0_config`). */
function asSix(raw: Raw): Raw {
  const activation = raw.activation_fn ?? raw.activation_fn_str ?? 'relu';
  const k = (raw.activation_fn_kwargs as Raw | null | undefined)?.k;
  const isTopK = activation === 'topk' || raw.architecture === 'topk';
  if (activation !== 'relu' && activation !== 'topk')
    throw unsupported('activation_fn', activation, 'relu and topk');
  const { normalize_activations: normalizes } = raw;
  return {
    ...raw,
    hook_name: raw.hook_name ?? raw.hook_point,
    hook_head_index: raw.hook_head_index ?? raw.hook_point_head_index,
    architecture: isTopK ? 'topk' : (raw.architecture ?? 'standard'),
    ...(isTopK && k != null && { k }),
    normalize_activations:
      typeof normalizes === 'boolean' ? (normalizes ? 'expected_average_only_in' : 'none') : normalizes,
  };
}

/** `expected_average_only_in` multiplies by a number that no file has: it was folded away, or must be said. */
function readScale(raw: Raw, { inputScale }: ImportHints): number {
  const how = raw.normalize_activations ?? 'none';
  if (how === 'none' || how === 'expected_average_only_in') {
    if (how === 'none' || inputScale !== null) return inputScale ?? 1;
    throw invalidInput(
      ['inputScale'],
      `${FILE}: normalize_activations is expected_average_only_in, so activations must be scaled before the SAE sees them, and no file says by how much: give inputScale (SAELens' norm_scaling_factor; 1 if it is folded into the weights)`,
    );
  }
  throw unsupported('normalize_activations', how, 'none and expected_average_only_in');
}

function readK(raw: Raw): number {
  const k = at(raw, 'k');
  if (typeof k === 'number' && k > 0 && k <= MAX.d_sae) return Math.max(1, Math.round(k));
  throw unsupported('k', k, 'a number above 0');
}

/** A key of the file, or in version 6 of its metadata. */
function at(raw: Raw, key: string): unknown {
  return raw[key] ?? metadataOf(raw)[key];
}

function size(raw: Raw, key: keyof typeof MAX): number {
  const value = at(raw, key);
  if (Number.isInteger(value) && (value as number) >= 1 && (value as number) <= MAX[key])
    return value as number;
  throw unsupported(key, value, `a whole number from 1 to ${MAX[key]}`);
}

function flag(raw: Raw, key: string, fallback: boolean): boolean {
  const value = at(raw, key) ?? fallback;
  if (typeof value === 'boolean') return value;
  throw unsupported(key, value, 'true and false');
}

function text(raw: Raw, key: string): string | null {
  const value = at(raw, key) ?? null;
  if (value === null || typeof value === 'string') return value;
  throw unsupported(key, value, 'a text');
}

/** Refuses all but these, of which the first is what silence means. */
function only(raw: Raw, key: string, accepted: readonly unknown[]): void {
  const value = at(raw, key) ?? accepted[0];
  if (!accepted.includes(value)) throw unsupported(key, value, accepted.map(String).join(' or '));
}

function unsupported(key: string, value: unknown, accepted: string): AppError {
  const shown = typeof value === 'string' ? value : (JSON.stringify(value) ?? 'missing');
  return invalidInput(
    [FILE, key],
    `${FILE}: ${key} is ${shown.length > 100 ? `${shown.slice(0, 100)}…` : shown}; supported is ${accepted}`,
  );
}
