/** GGUF files made for a test: version 3, little-endian, aligned to 32 bytes. */

export type Value = string | number | boolean | bigint | readonly string[] | readonly number[];

export interface TensorSpec {
  name: string;
  /** Rows first. */
  shape: readonly number[];
  /** Number of the type. */
  type: number;
  data: Uint8Array;
  /** In the place of the offset that follows from what stands before. */
  offset?: number;
}

const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
};
const u64 = (value: number | bigint): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
};
const text = (value: string) => Buffer.concat([u64(Buffer.byteLength(value)), Buffer.from(value)]);
const f32 = (value: number) => Buffer.from(Float32Array.of(value).buffer);

function metadataValue(value: Value): Buffer {
  if (typeof value === 'string') return Buffer.concat([u32(8), text(value)]);
  if (typeof value === 'boolean') return Buffer.concat([u32(7), Buffer.from([Number(value)])]);
  if (typeof value === 'bigint') return Buffer.concat([u32(10), u64(value)]);
  if (typeof value === 'number')
    return Number.isInteger(value)
      ? Buffer.concat([u32(4), u32(value)])
      : Buffer.concat([u32(6), f32(value)]);
  const strings = typeof value[0] === 'string';
  const integers = !strings && (value as number[]).every(Number.isInteger);
  const items = (value as readonly (string | number)[]).map((item) =>
    typeof item === 'string' ? text(item) : integers ? u32(item) : f32(item),
  );
  return Buffer.concat([u32(9), u32(strings ? 8 : integers ? 4 : 6), u64(items.length), ...items]);
}

export function buildGguf(metadata: Readonly<Record<string, Value>>, tensors: readonly TensorSpec[]): Buffer {
  const head: Buffer[] = [
    Buffer.from('GGUF'),
    u32(3),
    u64(tensors.length),
    u64(Object.keys(metadata).length),
  ];
  for (const [key, value] of Object.entries(metadata)) head.push(text(key), metadataValue(value));
  const data: Buffer[] = [];
  let offset = 0;
  for (const tensor of tensors) {
    head.push(text(tensor.name), u32(tensor.shape.length), ...[...tensor.shape].reverse().map(u64));
    head.push(u32(tensor.type), u64(tensor.offset ?? offset));
    const padded = Buffer.alloc(Math.ceil(tensor.data.length / 32) * 32);
    padded.set(tensor.data);
    data.push(padded);
    offset += padded.length;
  }
  const header = Buffer.concat(head);
  return Buffer.concat([header, Buffer.alloc((32 - (header.length % 32)) % 32), ...data]);
}

const TOKENS = ['<|end|>', 'a', 'b', 'ab', 'Ġ', 'Ġab', '1', '2'];

/** Keys of a byte-level Llama of width 8, of which only what these tests say is in the vocabulary. */
export const TINY_METADATA: Readonly<Record<string, Value>> = {
  'general.architecture': 'llama',
  'llama.block_count': 1,
  'llama.context_length': 16,
  'llama.embedding_length': 8,
  'llama.feed_forward_length': 32,
  'llama.attention.head_count': 2,
  'llama.attention.head_count_kv': 1,
  'llama.attention.layer_norm_rms_epsilon': 1e-5,
  'llama.rope.freq_base': 10_000.5,
  'tokenizer.ggml.model': 'gpt2',
  'tokenizer.ggml.pre': 'smollm',
  'tokenizer.ggml.tokens': TOKENS,
  'tokenizer.ggml.token_type': TOKENS.map((_, id) => (id === 0 ? 3 : 1)),
  'tokenizer.ggml.merges': ['a b', 'Ġ ab'],
  'tokenizer.ggml.eos_token_id': 0,
};

/** A tensor of float32 with the values 0, 1, 2 … divided by `over`. */
export function countingTensor(name: string, shape: readonly number[], over = 1): TensorSpec {
  const values = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => i / over);
  return { name, shape, type: 0, data: new Uint8Array(values.buffer) };
}

/** All of that model, one projection of it in blocks of eight bits. */
export function buildTinyLlama(): Buffer {
  const tensors = [
    countingTensor('token_embd.weight', [TOKENS.length, 8], 64),
    countingTensor('output_norm.weight', [8]),
    countingTensor('blk.0.attn_norm.weight', [8]),
    countingTensor('blk.0.attn_q.weight', [8, 8], 64),
    countingTensor('blk.0.attn_k.weight', [4, 8], 64),
    countingTensor('blk.0.attn_v.weight', [4, 8], 64),
    countingTensor('blk.0.attn_output.weight', [8, 8], 64),
    countingTensor('blk.0.ffn_norm.weight', [8]),
    countingTensor('blk.0.ffn_gate.weight', [32, 8], 256),
    countingTensor('blk.0.ffn_up.weight', [32, 8], 256),
  ];
  // Eight rows of one block of 32: a scale of 1/16 as a half, then 32 bytes.
  const block = Buffer.concat([
    Buffer.from([0x00, 0x2c]),
    Buffer.from(Int8Array.from({ length: 32 }, (_, i) => i - 16)),
  ]);
  const data = Buffer.concat(Array.from({ length: 8 }, () => block));
  return buildGguf(TINY_METADATA, [
    ...tensors,
    { name: 'blk.0.ffn_down.weight', shape: [8, 32], type: 8, data },
  ]);
}
