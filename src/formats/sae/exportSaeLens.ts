/**
 * A stored SAE as SAELens 6 loads it (`SAE.load_from_disk`), which computes the same numbers from raw activations:
 * normalisation is folded into the weights, and a linear latent, which SAELens does not have, is two ReLU latents of
 * opposite sign, for u = relu(u) − relu(−u). The file is made as it is read, block by block, however large it is.
 *
 * With x = (h − mean) / scale, pre = x W + b and ĥ = (z D + c) scale + mean:
 * W_enc = W / scale, b_enc = b − mean W / scale, W_dec = D scale, b_dec = c scale + mean.
 */
import { type FileHandle, open } from 'node:fs/promises';
import { nLatentsOf, type SaeConfig, type SaeDescription } from '../../engine/contract/sae.ts';
import { encodeHeader, readInto, readSafetensorsHeader } from '../safetensors.ts';
import type { SafetensorsHeader } from '../safetensorsHeader.ts';

/** The version whose format this is; the loader takes a configuration without one for an older format. */
const SAE_LENS_VERSION = '6.54.12';
/** Bytes that are read at a time, or a row if that is more. */
const BLOCK_BYTES = 1 << 20;

export type SaeLensArchitecture = 'standard' | 'jumprelu' | 'topk';

/** What SAELens has for an SAE: an architecture that computes the same, or the reason why there is none. */
export function findCounterpart({
  activation,
  nConcepts,
}: Pick<SaeConfig, 'activation' | 'nConcepts'>): SaeLensArchitecture | { reason: string } {
  if (activation === 'BATCH_TOPK' || activation === 'JUMP_RELU') return 'jumprelu';
  if (activation !== 'TOPK') return 'standard';
  if (nConcepts === 0) return 'topk';
  const reason =
    'SAELens has no architecture in which slots stay on beside free latents of which only the k largest fire; RELU, LINEAR, BATCH_TOPK and JUMP_RELU have one';
  return { reason };
}

export interface SaeLensFiles {
  /** What SAELens itself reads of `cfg.json`; `metadata` may be added to. */
  cfg: Record<string, unknown> & { metadata: Record<string, unknown> };
  description: SaeDescription;
  /** Of latent i: the index of the latent that fires where it is negative; null where it never is. */
  negativeOf(latent: number): number | null;
  weights: {
    bytes: number;
    chunks(): AsyncGenerator<Uint8Array>;
  };
}

/** Opens the SAE stored at `path`. Null where SAELens has no counterpart. */
export async function openSaeLens(path: string): Promise<SaeLensFiles | null> {
  const header = await readSafetensorsHeader(path);
  const description = JSON.parse(header.metadata.alignsae!) as SaeDescription;
  const { config } = description;
  const architecture = findCounterpart(config);
  if (typeof architecture !== 'string') return null;
  const layout = layoutOf(config);
  const { dModel, dSae } = layout;
  const shapes = {
    b_dec: [dModel],
    b_enc: [dSae],
    ...(architecture === 'jumprelu' && { threshold: [dSae] }),
    W_enc: [dModel, dSae],
    W_dec: [dSae, dModel],
  };
  const entries = Object.entries(shapes).map(([name, shape]) => [name, { dtype: 'F32', shape }] as const);
  const head = encodeHeader(Object.fromEntries(entries), { format: 'pt' });
  const floats = entries.reduce((sum, [, { shape }]) => sum + shape.reduce((a, b) => a * b, 1), 0);
  return {
    cfg: {
      architecture,
      d_in: dModel,
      d_sae: dSae,
      dtype: 'float32',
      device: 'cpu',
      apply_b_dec_to_input: false,
      normalize_activations: 'none',
      reshape_activations: 'none',
      ...(architecture === 'topk' && { k: config.k, rescale_acts_by_decoder_norm: false }),
      metadata: { sae_lens_version: SAE_LENS_VERSION, sae_lens_training_version: null },
    },
    description,
    negativeOf: (latent) =>
      latent < layout.firstLinear ? null : layout.nLatents + latent - layout.firstLinear,
    weights: {
      bytes: head.byteLength + 4 * floats,
      async *chunks() {
        yield head;
        yield* tensorsOf(path, header, layout, architecture);
      },
    },
  };
}

interface Layout {
  dModel: number;
  nLatents: number;
  nFree: number;
  /** Latents from here on are linear; their negative halves stand behind all others, in their order. */
  firstLinear: number;
  dSae: number;
}

function layoutOf({ dModel, nFree, nConcepts, activation }: SaeConfig): Layout {
  const nLatents = nLatentsOf({ nFree, nConcepts });
  const firstLinear = activation === 'LINEAR' ? 0 : nFree;
  return { dModel, nLatents, nFree, firstLinear, dSae: 2 * nLatents - firstLinear };
}

/** The tensors, in the order of the header. */
async function* tensorsOf(
  path: string,
  header: SafetensorsHeader,
  layout: Layout,
  architecture: SaeLensArchitecture,
): AsyncGenerator<Uint8Array> {
  const { dModel, nLatents, firstLinear } = layout;
  const file = await open(path, 'r');
  try {
    const source = new Source(file, header);
    const mean = await source.read('normalization.mean');
    const scale = (await source.read('normalization.scale'))[0]!;
    const bias = await source.read('decoder.bias');
    yield bytes(bias.map((value, i) => value * scale + mean[i]!));
    yield bytes(await encoderBias(source, layout, mean, scale));
    if (architecture === 'jumprelu') yield bytes(await thresholds(source, layout));
    for await (const { rows } of source.rows('encoder.weight', nLatents))
      yield bytes(
        withNegatives(
          rows.map((value) => value / scale),
          layout,
        ),
      );
    for await (const { rows } of source.rows('decoder.weight', dModel))
      yield bytes(rows.map((value) => value * scale));
    for await (const { rows } of source.rows('decoder.weight', dModel, firstLinear))
      yield bytes(rows.map((value) => -value * scale));
  } finally {
    await file.close();
  }
}

/** `[dSae]`, summed in double precision. */
async function encoderBias(
  source: Source,
  layout: Layout,
  mean: Float32Array,
  scale: number,
): Promise<Float32Array> {
  const { nLatents } = layout;
  const bias = Float64Array.from(await source.read('encoder.bias'));
  for await (const { rows, first } of source.rows('encoder.weight', nLatents))
    rows.forEach((value, i) => {
      bias[i % nLatents]! -= (mean[first + Math.floor(i / nLatents)]! / scale) * value;
    });
  return withNegatives(Float32Array.from(bias), layout);
}

/** `[dSae]`: that of the SAE for free latents, 0 for the halves of slots. */
async function thresholds(source: Source, { dSae, nFree }: Layout): Promise<Float32Array> {
  const own = await source.read('threshold');
  return Float32Array.from({ length: dSae }, (_, i) => (i < nFree ? own[own.length === 1 ? 0 : i]! : 0));
}

/** Rows `[n, nLatents]` with the linear latents negated behind them: `[n, dSae]`. */
function withNegatives(rows: Float32Array, { nLatents, firstLinear, dSae }: Layout): Float32Array {
  const n = rows.length / nLatents;
  const result = new Float32Array(n * dSae);
  for (let row = 0; row < n; row++) {
    const given = rows.subarray(row * nLatents, (row + 1) * nLatents);
    result.set(given, row * dSae);
    for (let i = firstLinear; i < nLatents; i++) result[row * dSae + nLatents + i - firstLinear] = -given[i]!;
  }
  return result;
}

function bytes({ buffer, byteOffset, byteLength }: Float32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/** The stored tensors, whole or by rows. */
class Source {
  readonly #file: FileHandle;
  readonly #header: SafetensorsHeader;

  constructor(file: FileHandle, header: SafetensorsHeader) {
    this.#file = file;
    this.#header = header;
  }

  read(name: string): Promise<Float32Array> {
    const { begin, end } = this.#header.tensors[name]!;
    return this.#floats(begin, (end - begin) / 4);
  }

  /** Rows of `width` from row `from` on, as many at a time as a block holds; `first` is the first one's number. */
  async *rows(name: string, width: number, from = 0): AsyncGenerator<{ rows: Float32Array; first: number }> {
    const { begin, end } = this.#header.tensors[name]!;
    const total = (end - begin) / 4 / width;
    const step = Math.max(1, Math.floor(BLOCK_BYTES / (4 * width)));
    for (let first = from; first < total; first += step) {
      const n = Math.min(step, total - first);
      yield { rows: await this.#floats(begin + 4 * first * width, n * width), first };
    }
  }

  async #floats(begin: number, n: number): Promise<Float32Array> {
    const floats = new Float32Array(n);
    await readInto(this.#file, 'the SAE', Buffer.from(floats.buffer), begin);
    return floats;
  }
}
