/** Rotary positions in `config.json`, as transformers 5 writes them (`rope_parameters`) and as it did before. */
import type { Rotary, RotaryScaling } from '../../../engine/contract/modelDecoder.ts';
import type { ConfigReader } from '../configReader.ts';

const FACTOR = { above: 0, most: 1e6 };
const BASE = { above: 1, most: 1e12 };
const TYPES = ['default', 'linear', 'llama3', 'yarn'] as const;

/** What the configuration says outside of `rope_parameters`. */
export interface RopeDefaults {
  /** How many numbers of a head are rotated. */
  dims: number;
  base: number;
  /** Whether the architecture rotates a part of each head, as `dims` says; others are refused a share of it. */
  partial?: boolean;
  /** Longest sequence, which the scalings take for the original one where that is not said. */
  nCtx: number;
}

/** The base and the scaling that stand in `reader`; null: nothing of either. */
export function readRotary(
  reader: ConfigReader | null,
  { dims, base, nCtx, partial = false }: RopeDefaults,
): Rotary {
  if (!reader) return { dims, base, scaling: null };
  if (!partial) reader.only('partial_rotary_factor', 1);
  return { dims, base: reader.number('rope_theta', BASE, base), scaling: readScaling(reader, nCtx) };
}

/** The base at a key outside of `rope_parameters`. */
export function readBase(reader: ConfigReader, key: string, fallback: number): number {
  return reader.number(key, BASE, fallback);
}

/** `rope_scaling`, the older name, counts before `rope_parameters`, as in transformers. */
export function ropeParameters(reader: ConfigReader): ConfigReader | null {
  return reader.inside('rope_scaling') ?? reader.inside('rope_parameters');
}

function readScaling(reader: ConfigReader, nCtx: number): RotaryScaling | null {
  const type = reader.choice(reader.has('rope_type') ? 'rope_type' : 'type', TYPES, 'default');
  if (type === 'default') return null;
  const factor = reader.number('factor', FACTOR);
  if (type === 'linear') return { kind: 'LINEAR', factor };
  const originalContext = reader.size('original_max_position_embeddings', 'context', nCtx);
  if (type === 'yarn') return readYarn(reader, factor, originalContext);
  const lowFrequencyFactor = reader.number('low_freq_factor', FACTOR);
  const highFrequencyFactor = reader.number('high_freq_factor', { above: lowFrequencyFactor, most: 1e6 });
  return { kind: 'LLAMA3', factor, lowFrequencyFactor, highFrequencyFactor, originalContext };
}

function readYarn(reader: ConfigReader, factor: number, originalContext: number): RotaryScaling {
  const grown = (scale = 1) => (factor <= 1 ? 1 : 0.1 * scale * Math.log(factor) + 1);
  const scale = reader.optionalNumber('mscale', FACTOR);
  const scaleAll = reader.optionalNumber('mscale_all_dim', FACTOR);
  const inferred = scale && scaleAll ? grown(scale) / grown(scaleAll) : grown();
  return {
    ...{ kind: 'YARN', factor, originalContext },
    betaFast: reader.number('beta_fast', FACTOR, 32),
    betaSlow: reader.number('beta_slow', FACTOR, 1),
    truncate: reader.flag('truncate', true),
    attentionFactor: reader.number('attention_factor', { above: 0, most: 100 }, inferred),
  };
}

/** `rope_parameters` of one kind of block. */
export function describeRotary({ base, scaling }: Rotary): Record<string, unknown> {
  return { rope_theta: base, ...describeScaling(scaling) };
}

function describeScaling(scaling: RotaryScaling | null): Record<string, unknown> {
  switch (scaling?.kind) {
    case undefined:
      return { rope_type: 'default' };
    case 'LINEAR':
      return { rope_type: 'linear', factor: scaling.factor };
    case 'LLAMA3':
      return {
        ...{ rope_type: 'llama3', factor: scaling.factor },
        ...{ low_freq_factor: scaling.lowFrequencyFactor, high_freq_factor: scaling.highFrequencyFactor },
        original_max_position_embeddings: scaling.originalContext,
      };
    case 'YARN':
      return {
        ...{ rope_type: 'yarn', factor: scaling.factor, truncate: scaling.truncate },
        ...{ beta_fast: scaling.betaFast, beta_slow: scaling.betaSlow },
        ...{ attention_factor: scaling.attentionFactor },
        original_max_position_embeddings: scaling.originalContext,
      };
  }
}

/** The keys of both spellings, for readers of either age. */
export function describeRope(rotary: Rotary): Record<string, unknown> {
  const parameters = describeRotary(rotary);
  return {
    rope_theta: rotary.base,
    rope_scaling: rotary.scaling && parameters,
    rope_parameters: parameters,
  };
}
