import { describe, expect, it } from 'vitest';
import { type GgufWeight, openGguf } from '../../../src/formats/gguf/checkpoint.ts';
import { loadTokenizer } from '../../../src/formats/tokenizer.ts';
import { buildGguf, countingTensor, type TensorSpec, TINY_METADATA, type Value } from './build.ts';

const floats = (values: readonly number[]) => new Uint8Array(Float32Array.from(values).buffer);
const count = (n: number, from = 0) => Array.from({ length: n }, (_, i) => from + i);

const METADATA = TINY_METADATA;
const TOKENS = METADATA['tokenizer.ggml.tokens'] as readonly string[];
const EMBEDDINGS = countingTensor('token_embd.weight', [TOKENS.length, 8]);

const sourceOf = (bytes: Buffer) => ({
  size: bytes.length,
  read: async (begin: number, end: number) => Buffer.from(bytes.subarray(begin, end)),
});
const openBytes = (bytes: Buffer) => openGguf(sourceOf(bytes), 'model.gguf');
const openWith = (metadata: Record<string, Value>, tensors: readonly TensorSpec[] = [EMBEDDINGS]) =>
  openBytes(buildGguf({ ...METADATA, ...metadata }, tensors));

async function valuesOf(weight: GgufWeight | undefined): Promise<number[]> {
  const values: number[] = [];
  for await (const piece of weight!.read()) values.push(...piece);
  return values;
}

/** Only the checkpoint of these tensors besides the embeddings, by their names there. */
async function weightsOf(metadata: Record<string, Value>, tensors: readonly TensorSpec[]) {
  const { weights } = await openWith(metadata, [EMBEDDINGS, ...tensors]);
  return new Map(weights.map((weight) => [weight.name, weight]));
}

describe('a GGUF file', () => {
  it('reads like the checkpoint it was made of', async () => {
    const { config, weights } = await openWith({});
    expect(config).toMatchObject({
      ...{ model_type: 'llama', hidden_size: 8, num_hidden_layers: 1, intermediate_size: 32 },
      ...{ num_attention_heads: 2, num_key_value_heads: 1, max_position_embeddings: 16 },
      ...{ vocab_size: TOKENS.length, tie_word_embeddings: true, rope_theta: 10_000.5, eos_token_id: 0 },
    });
    expect(weights.map(({ name, shape, dtype }) => ({ name, shape, dtype }))).toEqual([
      { name: 'model.embed_tokens.weight', shape: [8, 8], dtype: 'F32' },
    ]);
    expect(await valuesOf(weights[0])).toEqual(count(64));
  });

  it('has an unembedding of its own where there is one', async () => {
    const { config, weights } = await openWith({}, [EMBEDDINGS, { ...EMBEDDINGS, name: 'output.weight' }]);
    expect(config.tie_word_embeddings).toBe(false);
    expect(weights.map(({ name }) => name)).toContain('lm_head.weight');
  });

  it('gets back what its converter turned: rows of rotary heads', async () => {
    const rows = { shape: [8, 1], type: 0, data: floats(count(8)) };
    const weights = await weightsOf({}, [{ ...rows, name: 'blk.0.attn_q.weight' }]);
    // Two heads of four rows: of each, the even rows come first, then the odd ones.
    const values = await valuesOf(weights.get('model.layers.0.self_attn.q_proj.weight'));
    expect(values).toEqual([0, 2, 1, 3, 4, 6, 5, 7]);
  });

  it('gets back what its converter turned: gains of 1 + w, transposed projections, heads set apart', async () => {
    const gain = { name: 'blk.0.attn_norm.weight', shape: [2], type: 0, data: floats([1.5, 3]) };
    const gemma = { 'general.architecture': 'gemma2', 'gemma2.attention.head_count': 2 };
    const norms = await weightsOf(gemma, [gain]);
    expect(await valuesOf(norms.get('model.layers.0.input_layernorm.weight'))).toEqual([0.5, 2]);

    const matrix = { name: 'blk.0.ffn_up.weight', shape: [2, 3], type: 0, data: floats(count(6)) };
    const gpt2 = { 'general.architecture': 'gpt2', 'gpt2.attention.head_count': 2 };
    const turned = (await weightsOf(gpt2, [matrix])).get('transformer.h.0.mlp.c_fc.weight');
    expect(turned!.shape).toEqual([3, 2]);
    expect(await valuesOf(turned)).toEqual([0, 3, 1, 4, 2, 5]);

    const bias = { name: 'blk.0.attn_qkv.bias', shape: [12], type: 0, data: floats(count(12)) };
    const neox = { 'general.architecture': 'gptneox', 'gptneox.attention.head_count': 2 };
    const apart = (await weightsOf(neox, [bias])).get('gpt_neox.layers.0.attention.query_key_value.bias');
    expect(await valuesOf(apart)).toEqual([0, 1, 4, 5, 8, 9, 2, 3, 6, 7, 10, 11]);
  });

  it('brings a byte-level tokenizer', async () => {
    const { tokenizer } = await openWith({});
    const { encode, decode, eosId } = loadTokenizer(tokenizer);
    expect(encode('ab ab12<|end|>')).toEqual([3, 5, 6, 7, 0]);
    expect(decode([3, 5, 6, 7])).toBe('ab ab12');
    expect(eosId).toBe(0);
  });

  it('brings a SentencePiece tokenizer, whose merges follow from its scores', async () => {
    const pieces = ['<unk>', '</s>', '<0x0A>', '▁', 'a', 'b', 'ab', '▁ab', 'ba'];
    const { tokenizer } = await openWith({
      'tokenizer.ggml.model': 'llama',
      'tokenizer.ggml.tokens': pieces,
      'tokenizer.ggml.token_type': [2, 3, 6, 1, 1, 1, 1, 1, 1],
      'tokenizer.ggml.scores': [0, 0, 0, -1.5, -2.5, -3.5, -0.5, -1, -0.25],
      'tokenizer.ggml.eos_token_id': 1,
      'tokenizer.ggml.unknown_token_id': 0,
    });
    const { encode, decode } = loadTokenizer(tokenizer);
    expect(encode('ab')).toEqual([7]);
    // "ba" has the highest score, so it is merged before "ab" can be.
    expect(encode('aba\n')).toEqual([3, 4, 8, 2]);
    expect(decode([7, 8])).toBe('abba');
  });
});

describe('a GGUF file is refused', () => {
  const good = buildGguf(METADATA, [EMBEDDINGS]);
  const block = (name: string, more: Partial<TensorSpec> = {}) => ({ ...EMBEDDINGS, name, ...more });
  it.each<[string, () => Buffer, RegExp]>([
    ['that is none', () => Buffer.from('not a gguf file at all'), /model\.gguf: its header cannot be read/],
    ['that is empty', () => Buffer.alloc(0), /the file ends within its header/],
    ['cut off in its header', () => good.subarray(0, 200), /the file is cut off in its header/],
    [
      'cut off in a tensor',
      () => good.subarray(0, good.length - 32),
      /ends at byte \d+ of \d+: the file is cut off/,
    ],
    [
      'with more tensors than it can have',
      () => {
        const bytes = Buffer.from(good);
        bytes.writeBigUInt64LE(2n ** 62n, 8);
        return bytes;
      },
      /its header cannot be read/,
    ],
    [
      'with a type that is not read',
      () => buildGguf(METADATA, [block('token_embd.weight', { type: 16 })]),
      /has the type number 16; read are F32, F16, Q4_0/,
    ],
    [
      'with rows that no block fits',
      () => buildGguf(METADATA, [block('token_embd.weight', { type: 8 })]),
      /rows of 8 values; Q8_0 needs a multiple of 32/,
    ],
    [
      'with tensors over one another',
      () => buildGguf(METADATA, [EMBEDDINGS, block('output.weight', { offset: 32 })]),
      /"token_embd\.weight" and "output\.weight" overlap/,
    ],
    [
      'with a tensor at a crooked place',
      () => buildGguf(METADATA, [block('token_embd.weight', { offset: 4 }), block('output.weight')]),
      /no multiple of 32/,
    ],
    ['with a tensor twice', () => buildGguf(METADATA, [EMBEDDINGS, EMBEDDINGS]), /is there twice/],
    [
      'with a tensor that has no place',
      () => buildGguf(METADATA, [EMBEDDINGS, block('blk.0.ffn_gate_exps.weight')]),
      /there is no place for tensor "blk\.0\.ffn_gate_exps\.weight"/,
    ],
    [
      'of another architecture',
      () => buildGguf({ ...METADATA, 'general.architecture': 'mamba' }, [EMBEDDINGS]),
      /general\.architecture is mamba; supported are llama, qwen2/,
    ],
    [
      'with heads by layer',
      () => buildGguf({ ...METADATA, 'llama.attention.head_count_kv': [1, 2] }, [EMBEDDINGS]),
      /must each be one whole number above 0/,
    ],
    [
      'with a tokenizer of another kind',
      () => buildGguf({ ...METADATA, 'tokenizer.ggml.model': 'bert' }, [EMBEDDINGS]),
      /tokenizer\.ggml\.model is bert; supported are gpt2 and llama/,
    ],
    [
      'with a way of cutting text that is not known',
      () => buildGguf({ ...METADATA, 'tokenizer.ggml.pre': 'tekken' }, [EMBEDDINGS]),
      /tokenizer\.ggml\.pre is tekken; supported are gpt-2/,
    ],
    [
      'with scaled frequencies',
      () => buildGguf(METADATA, [EMBEDDINGS, block('rope_freqs.weight')]),
      /rope_freqs\.weight: scaled frequencies are read from a safetensors checkpoint only/,
    ],
  ])('%s', async (_, bytes, message) => {
    await expect(openBytes(bytes())).rejects.toThrow(message);
  });

  it('without a tokenizer', async () => {
    const { 'tokenizer.ggml.tokens': _, ...metadata } = METADATA;
    await expect(openBytes(buildGguf(metadata, [EMBEDDINGS]))).rejects.toThrow(
      'tokenizer.ggml.tokens is missing',
    );
  });
});
