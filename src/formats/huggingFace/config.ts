/** `config.json` of a checkpoint, both ways: what this engine computes, in Hugging Face's names. */
import type { ModelConfig } from '../../engine/contract/model.ts';
import { ARCHITECTURES, decoderOf } from '../../engine/contract/modelDecoder.ts';
import type { Tokenizer } from '../tokenizer.ts';
import type { Architecture } from './architectures/architecture.ts';
import { architectures } from './architectures/index.ts';
import { configReader, type RawConfig } from './configReader.ts';

/** @throws {AppError} INVALID_INPUT naming what this engine does not compute, its value and what is supported. */
export function readConfig(raw: RawConfig): ModelConfig {
  const reader = configReader(raw);
  const architecture = architectures[reader.choice('model_type', ARCHITECTURES, 'gpt2')];
  const { architectures: classes = [architecture.className] } = raw;
  if (!Array.isArray(classes) || !classes.includes(architecture.className))
    throw reader.unsupported('architectures', classes, architecture.className);
  reader.only('is_encoder_decoder', false);
  if (raw.quantization_config) throw reader.unsupported('quantization_config', 'set', 'none');
  if (Object.keys(raw.pruned_heads ?? {}).length > 0) throw reader.unsupported('pruned_heads', 'set', 'none');
  return architecture.readConfig(reader);
}

/** Whose checkpoints a model's are like. */
export function architectureOf(config: ModelConfig): Architecture {
  return architectures[decoderOf(config).architecture];
}

/** `config.json` of a model of this configuration; dropout is 0, for it is what the model was trained with. */
export function describeConfig(config: ModelConfig, ids: Pick<Tokenizer, 'eosId' | 'padId'>) {
  const { type, className, describeConfig } = architectureOf(config);
  return {
    ...{ model_type: type, architectures: [className], dtype: 'float32', torch_dtype: 'float32' },
    ...describeConfig(config),
    ...tokenIds(ids),
  };
}

/** `generation_config.json`: greedy, and when to stop. */
export function describeGeneration(ids: Pick<Tokenizer, 'eosId' | 'padId'>) {
  return { ...tokenIds(ids), do_sample: false };
}

/** No text begins with a special token here; transformers asks for one where there is no prompt. */
function tokenIds({ eosId, padId }: Pick<Tokenizer, 'eosId' | 'padId'>) {
  return { bos_token_id: eosId, eos_token_id: eosId, pad_token_id: padId };
}
