/** Reads `config.json` key by key; whatever is not acceptable is refused by its key, its value and what is accepted. */
import type { Activation } from '../../engine/contract/modelDecoder.ts';
import { type AppError, invalidInput } from '../../errors.ts';

export type RawConfig = Readonly<Record<string, unknown>>;

/** More than any model has; so that no number drives a loop or an allocation unchecked. */
const LIMITS = {
  layers: 1024,
  heads: 1024,
  width: 65_536,
  hidden: 1 << 20,
  context: 1 << 24,
  vocabulary: 1 << 21,
};
type Size = keyof typeof LIMITS;

const ACTIVATIONS: Readonly<Record<string, Activation>> = {
  gelu_new: 'GELU_TANH',
  // Another name of one function.
  gelu_pytorch_tanh: 'GELU_TANH',
  gelu: 'GELU',
  silu: 'SILU',
};

/** What transformers calls them; of two names, GPT-2's. */
export const ACTIVATION_NAMES = {
  GELU_TANH: 'gelu_new',
  GELU: 'gelu',
  SILU: 'silu',
} as const satisfies Record<Activation, string>;

/** All methods throw INVALID_INPUT by key; silence (and null) means the fallback. */
export interface ConfigReader {
  /** A whole number from 1 to what `kind` may be. */
  size(key: string, kind: Size, fallback: number): number;
  optionalSize(key: string, kind: Size): number | null;
  /** A number above `above` and at most `most`; without a fallback it must be there. */
  number(key: string, range: { above: number; most: number }, fallback?: number): number;
  optionalNumber(key: string, range: { above: number; most: number }): number | null;
  flag(key: string, fallback: boolean): boolean;
  choice<T extends string>(key: string, accepted: readonly T[], fallback: T): T;
  activation(key: string, fallback: string): Activation;
  list(key: string, accepted: readonly string[], length: number): string[] | null;
  /** Refuses all values but these, of which the first is what silence means. */
  only(key: string, ...accepted: readonly unknown[]): void;
  /** The object at a key, read alike; null where there is none. */
  inside(key: string): ConfigReader | null;
  has(key: string): boolean;
  /** Whether null stands at the key, which for some keys is not silence. */
  isNull(key: string): boolean;
  /** The error for a value that is not accepted. */
  unsupported(key: string, value: unknown, accepted: string): AppError;
}

/** A reader of `raw`; `path` is where it stands in the file. */
export function configReader(raw: RawConfig, path = ''): ConfigReader {
  const at = (key: string) => raw[key] ?? undefined;
  const unsupported = (key: string, value: unknown, accepted: string) => {
    const shown = typeof value === 'string' ? value : JSON.stringify(value);
    const full = path + key;
    return invalidInput(['config.json', full], `config.json: ${full} is ${shown}; supported is ${accepted}`);
  };
  const optionalSize = (key: string, kind: Size) => {
    const value = at(key);
    if (value === undefined) return null;
    if (Number.isInteger(value) && (value as number) >= 1 && (value as number) <= LIMITS[kind])
      return value as number;
    throw unsupported(key, value, `a whole number from 1 to ${LIMITS[kind]}`);
  };
  const optionalNumber = (key: string, { above, most }: { above: number; most: number }) => {
    const value = at(key);
    if (value === undefined) return null;
    if (typeof value === 'number' && value > above && value <= most) return value;
    throw unsupported(key, value, `a number above ${above}, at most ${most}`);
  };
  const oneOf = (key: string, value: unknown, accepted: readonly unknown[]) => {
    if (!accepted.includes(value)) throw unsupported(key, value, accepted.map(String).join(' or '));
  };
  const choice = <T extends string>(key: string, accepted: readonly T[], fallback: T) => {
    const value = at(key) ?? fallback;
    oneOf(key, value, accepted);
    return value as T;
  };
  return {
    unsupported,
    optionalSize,
    optionalNumber,
    has: (key) => at(key) !== undefined,
    isNull: (key) => raw[key] === null,
    size: (key, kind, fallback) => optionalSize(key, kind) ?? fallback,
    number(key, range, fallback) {
      const value = optionalNumber(key, range) ?? fallback;
      if (value === undefined)
        throw unsupported(key, null, `a number above ${range.above}, at most ${range.most}`);
      return value;
    },
    flag(key, fallback) {
      const value = at(key) ?? fallback;
      oneOf(key, value, [true, false]);
      return value as boolean;
    },
    choice,
    activation: (key, fallback) => ACTIVATIONS[choice(key, Object.keys(ACTIVATIONS), fallback)]!,
    list(key, accepted, length) {
      const values = at(key);
      if (values === undefined) return null;
      if (!Array.isArray(values) || values.length !== length)
        throw unsupported(key, values, `a list of ${length}, one a block`);
      for (const value of values) oneOf(key, value, accepted);
      return values as string[];
    },
    only: (key, ...accepted) => oneOf(key, at(key) ?? accepted[0], accepted),
    inside(key) {
      const value = at(key);
      if (value === undefined) return null;
      if (typeof value !== 'object' || Array.isArray(value)) throw unsupported(key, value, 'an object');
      return configReader(value as RawConfig, `${path}${key}.`);
    },
  };
}
