/**
 * An SAE from elsewhere as this engine stores its own. With s the input's scale and c its bias where that is taken off
 * the input: x = s (h − c / s), so mean = c / s, scale = 1 / s, and the decoder's bias is what of `b_dec` is left.
 *
 * A gated latent fires where u + b_gate > 0 for u = x W, and is relu(u e + b_mag) with e = exp(r_mag) > 0; that is a
 * JumpReLU over u e + b_mag with the threshold b_mag − e b_gate.
 */
import { ALIGNMENT_PRESETS } from '../../engine/contract/alignmentPresets.ts';
import type { EncoderActivation } from '../../engine/contract/alignmentSettings.ts';
import { nLatentsOf, type SaeConfig, type SaeDescription } from '../../engine/contract/sae.ts';
import { invalidInput } from '../../errors.ts';
import { readAllFloats, readFloats, type StoredTensor } from '../huggingFace/tensors.ts';
import { encodeHeader } from '../safetensors.ts';
import type { ForeignFile, ForeignSae } from './saeFile.ts';

export interface ImportedSae {
  config: SaeConfig;
  layer: number;
  /** A file as `engine/sae/file.ts` writes it. */
  weights: { bytes: number; chunks(): AsyncIterable<Uint8Array> };
}

const ACTIVATIONS: Readonly<Record<ForeignSae['architecture'], EncoderActivation>> = {
  standard: 'RELU',
  gated: 'JUMP_RELU',
  jumprelu: 'JUMP_RELU',
  topk: 'TOPK',
  batchtopk: 'BATCH_TOPK',
};

/**
 * Checks that the tensors are those of the architecture; their values are read when `weights.chunks()` is.
 * @throws AppError INVALID_INPUT naming the tensor that is missing, misshaped or not expected.
 */
export function importSae({ label, sae, tensors }: ForeignFile): ImportedSae {
  const { dIn, dSae, layer } = sae;
  const take = chooseTensors(sae, tensors, label);
  const config: SaeConfig = {
    dModel: dIn,
    nFree: dSae,
    nConcepts: 0,
    activation: ACTIVATIONS[sae.architecture],
    k: Math.min(sae.k, dSae),
    valueHeads: null,
  };
  const shapes = shapesOf(config);
  const entries = Object.entries(shapes).map(([name, shape]) => [name, { dtype: 'F32', shape }] as const);
  const description: SaeDescription = {
    config,
    settings: settingsOf(config, layer),
    concepts: [],
    bestStep: 0,
  };
  const head = encodeHeader(Object.fromEntries(entries), {
    format: 'pt',
    alignsae: JSON.stringify(description),
  });
  const values = Object.values(shapes).reduce((sum, shape) => sum + shape.reduce((a, b) => a * b, 1), 0);
  return {
    config,
    layer,
    weights: {
      bytes: head.byteLength + 4 * values,
      async *chunks() {
        yield head;
        yield* chunksOf(sae, take);
      },
    },
  };
}

/** As settings of an alignment without labels, which learned from nobody here. */
function settingsOf({ nFree, activation, k }: SaeConfig, layer: number): SaeDescription['settings'] {
  return { ...ALIGNMENT_PRESETS.PAPER, layer, nFree, activation, k, unseenShare: 0, validationShare: 0 };
}

/** In the order in which they are written: the bias comes behind the weights that it is made of. */
function shapesOf(config: SaeConfig): Record<string, number[]> {
  const { dModel, activation } = config;
  const nLatents = nLatentsOf(config);
  return {
    'encoder.weight': [dModel, nLatents],
    'encoder.bias': [nLatents],
    ...(activation === 'JUMP_RELU' && { threshold: [nLatents] }),
    ...(activation === 'BATCH_TOPK' && { threshold: [1] }),
    'decoder.weight': [nLatents, dModel],
    'decoder.bias': [dModel],
    'normalization.mean': [dModel],
    'normalization.scale': [1],
    concept_means: [0, dModel],
  };
}

type Take = (name: string) => StoredTensor;

function chooseTensors(sae: ForeignSae, tensors: ForeignFile['tensors'], label: string): Take {
  const expected = expectedOf(sae);
  for (const [name, { shape, refusal }] of tensors) {
    const wanted = Object.hasOwn(expected, name) ? expected[name]! : null;
    const refuse = (why: string) => invalidInput([label, name], `${label}: ${name} ${why}`);
    if (!wanted)
      throw refuse(
        `is not a tensor of a ${sae.architecture} SAE; those are ${Object.keys(expected).join(', ')}`,
      );
    if (refusal) throw refuse(refusal);
    if (String(shape) !== String(wanted)) throw refuse(`has the shape [${shape}]; expected is [${wanted}]`);
  }
  for (const name of Object.keys(expected))
    if (!tensors.has(name))
      throw invalidInput([label, name], `${label} has no ${name}, which a ${sae.architecture} SAE needs`);
  return (name) => tensors.get(name)!;
}

function expectedOf({ architecture, dIn, dSae }: ForeignSae): Record<string, number[]> {
  return {
    W_enc: [dIn, dSae],
    W_dec: [dSae, dIn],
    b_dec: [dIn],
    ...(architecture === 'gated' ? { b_gate: [dSae], b_mag: [dSae], r_mag: [dSae] } : { b_enc: [dSae] }),
    ...(architecture === 'jumprelu' && { threshold: [dSae] }),
    ...(architecture === 'batchtopk' && { topk_threshold: [] }),
  };
}

async function* chunksOf(sae: ForeignSae, take: Take): AsyncGenerator<Uint8Array> {
  const { dIn, inputScale, takesOffBias } = sae;
  const bDec = await readAllFloats(take('b_dec'));
  const factors = await factorsOf(sae, take);
  const { bias, threshold } = await latentsOf(sae, take, factors);
  yield* scaled(take('W_enc'), factors && ((i) => factors[i % factors.length]!));
  yield bytesOf(bias);
  if (threshold) yield bytesOf(threshold);
  // What a row writes is shared between it and its latent: where one is multiplied the other is divided.
  const lengths = sae.rescales ? factors : null;
  yield* scaled(take('W_dec'), lengths && ((i) => 1 / lengths[Math.floor(i / dIn)]!));
  yield bytesOf(takesOffBias ? new Float32Array(dIn) : bDec);
  yield bytesOf(takesOffBias ? bDec.map((value) => value / inputScale) : new Float32Array(dIn));
  yield bytesOf(Float32Array.of(1 / inputScale));
}

/** What each latent's column of the encoder is multiplied by, `[dSae]`; null for 1. */
async function factorsOf(sae: ForeignSae, take: Take): Promise<Float32Array | null> {
  if (sae.architecture === 'gated') return (await readAllFloats(take('r_mag'))).map(Math.exp);
  return sae.rescales ? rowLengths(take('W_dec'), sae) : null;
}

/** Biases and thresholds of pre-activations. */
async function latentsOf(
  { architecture }: ForeignSae,
  take: Take,
  factors: Float32Array | null,
): Promise<{ bias: Float32Array; threshold: Float32Array | null }> {
  const read = (name: string) => readAllFloats(take(name));
  if (architecture === 'gated') {
    const [gate, bias] = [await read('b_gate'), await read('b_mag')];
    return { bias, threshold: bias.map((value, i) => value - factors![i]! * gate[i]!) };
  }
  const own = await read('b_enc');
  const bias = factors ? own.map((value, i) => value * factors[i]!) : own;
  if (architecture === 'jumprelu') return { bias, threshold: await read('threshold') };
  return { bias, threshold: architecture === 'batchtopk' ? await read('topk_threshold') : null };
}

async function rowLengths(decoder: StoredTensor, { dIn, dSae }: ForeignSae): Promise<Float32Array> {
  const squares = new Float64Array(dSae);
  let at = 0;
  for await (const block of floatsOf(decoder)) {
    for (let i = 0; i < block.length; i++) squares[Math.floor((at + i) / dIn)]! += block[i]! ** 2;
    at += block.length;
  }
  return Float32Array.from(squares, (sum) => Math.max(Math.sqrt(sum), 1e-8));
}

/** The values of a tensor, each multiplied by what `factorOf` says of its place. */
async function* scaled(
  tensor: StoredTensor,
  factorOf: ((i: number) => number) | null,
): AsyncGenerator<Uint8Array> {
  let at = 0;
  for await (const block of floatsOf(tensor)) {
    if (factorOf) for (let i = 0; i < block.length; i++) block[i]! *= factorOf(at + i);
    at += block.length;
    yield bytesOf(block);
  }
}

async function* floatsOf(tensor: StoredTensor): AsyncGenerator<Float32Array> {
  for await (const { buffer, byteOffset, byteLength } of readFloats(tensor))
    yield new Float32Array(buffer, byteOffset, byteLength / 4);
}

function bytesOf({ buffer, byteOffset, byteLength }: Float32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}
