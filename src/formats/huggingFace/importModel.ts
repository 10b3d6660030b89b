/**
 * A Hugging Face checkpoint as a model of this engine. Its files are read by range: headers first, so that all of it is
 * checked before any weight is read, and then each weight once.
 */
import type { ModelConfig } from '../../engine/contract/model.ts';
import { decoderOf } from '../../engine/contract/modelDecoder.ts';
import { countWeights, modelWeights } from '../../engine/contract/modelWeights.ts';
import { invalidInput } from '../../errors.ts';
import { encodeHeader } from '../safetensors.ts';
import type { TokenizerJson } from '../tokenizer.ts';
import { ignoredNames, type StoredWeight, storedWeights } from './architectures/architecture.ts';
import { type CheckpointFiles, readCheckpoint, readGguf, WHOLE } from './checkpoint.ts';
import { architectureOf, readConfig } from './config.ts';
import { readAllFloats, readFloats, type StoredTensor } from './tensors.ts';
import { readTokenizer } from './tokenizer.ts';
import { joinParts } from './weights.ts';

export interface ImportedModel {
  config: ModelConfig;
  tokenizer: TokenizerJson;
  nParams: number;
  /** A `.safetensors` file with the weights as float32, in this engine's names. */
  weights: { bytes: number; chunks(): AsyncIterable<Uint8Array> };
}

/**
 * Opens a checkpoint, or the GGUF file of this name, and checks it; its weights are read when `weights.chunks()` is.
 * @throws {AppError} INVALID_INPUT naming the file and what in it is missing, malformed or not supported.
 */
export async function openCheckpoint(files: CheckpointFiles, gguf?: string): Promise<ImportedModel> {
  const checkpoint = gguf === undefined ? await readCheckpoint(files) : await readGguf(files, gguf);
  const { raw, settings, template } = checkpoint;
  const config = readConfig(raw);
  const eosId = raw.eos_token_id;
  const tokenizer = readTokenizer(checkpoint.tokenizer, {
    ...{ eosId, settings, template },
    dVocab: config.dVocab,
  });
  const chosen = chooseTensors(checkpoint.tensors, config);
  if (chosen.unembedding) await checkTied(chosen.unembedding, chosen.weights[0]!.tensors[0]!);
  const head = headOf(config);
  const nParams = countWeights(modelWeights(config));
  return {
    ...{ config, tokenizer, nParams },
    weights: {
      bytes: head.byteLength + 4 * nParams,
      async *chunks() {
        yield head;
        for (const weight of chosen.weights) yield* readWeight(weight);
      },
    },
  };
}

function headOf(config: ModelConfig): Buffer {
  const entries = Object.entries(modelWeights(config)).map(
    ([name, { shape }]) => [name, { dtype: 'F32', shape }] as const,
  );
  return encodeHeader(Object.fromEntries(entries), { format: 'pt' });
}

/** A weight with the tensors of the checkpoint that it is made of. */
interface ChosenWeight {
  weight: StoredWeight;
  tensors: StoredTensor[];
}

/** The tensors of each weight, and an unembedding that should be the embeddings again. */
function chooseTensors(
  found: readonly StoredTensor[],
  config: ModelConfig,
): { weights: ChosenWeight[]; unembedding: StoredTensor | undefined } {
  const architecture = architectureOf(config);
  const { prefix, head, type } = architecture;
  const byName = new Map<string, StoredTensor>();
  for (const tensor of found) {
    const name = tensor.name.startsWith(prefix) ? tensor.name.slice(prefix.length) : tensor.name;
    if (byName.has(name)) throw invalidInput([tensor.label], `the checkpoint has "${tensor.name}" twice`);
    byName.set(name, tensor);
  }
  const take = (name: string, shape: readonly number[]) => {
    const tensor = byName.get(name);
    if (!tensor) throw invalidInput([WHOLE], `the checkpoint has no weight "${name}"`);
    byName.delete(name);
    checkTensor(tensor, shape);
    return tensor;
  };
  const unembedding = decoderOf(config).tied ? byName.get(head) : undefined;
  if (unembedding) take(head, [config.dVocab, config.dModel]);
  for (const name of ignoredNames(architecture, config)) byName.delete(name);
  const stored = storedWeights(architecture, config);
  const known = new Set(stored.flatMap(({ parts }) => parts.map(({ name }) => name)));
  for (const [name, { label, name: full }] of byName)
    if (!known.has(name))
      throw invalidInput([label], `${label}: by its config.json this ${type} model has no weight "${full}"`);
  const weights = stored.map((weight) => ({
    weight,
    tensors: weight.parts.map(({ name, shape }) => take(name, shape)),
  }));
  return { weights, unembedding };
}

/** @throws {AppError} INVALID_INPUT when the checkpoint has an unembedding that `config.json` says it has not. */
async function checkTied(unembedding: StoredTensor, embeddings: StoredTensor): Promise<void> {
  const [own, tied] = [readFloats(unembedding), readFloats(embeddings)];
  for (;;) {
    const [a, b] = await Promise.all([own.next(), tied.next()]);
    if (a.done && b.done) return;
    if (a.done || b.done || !a.value.equals(b.value)) break;
  }
  const { label, name } = unembedding;
  throw invalidInput(
    [label, name],
    `${label}: ${name} is not ${embeddings.name}, though tie_word_embeddings in config.json says so; set it to false to have ${name} used`,
  );
}

/** The values of a weight in this engine's order, as float32 bytes. */
async function* readWeight({ weight, tensors }: ChosenWeight): AsyncGenerator<Buffer> {
  if (!weight.columns) return yield* readFloats(tensors[0]!);
  const parts: Float32Array[] = [];
  for (const tensor of tensors) parts.push(await readAllFloats(tensor));
  const { buffer, byteLength } = joinParts(weight, parts);
  yield Buffer.from(buffer, 0, byteLength);
}

function checkTensor({ name, label, refusal, shape }: StoredTensor, expected: readonly number[]): void {
  const refuse = (why: string) => invalidInput([label, name], `${label}: ${name} ${why}`);
  if (refusal) throw refuse(refusal);
  if (String(shape) !== String(expected))
    throw refuse(`has the shape [${shape}]; config.json makes it [${expected}]`);
}
