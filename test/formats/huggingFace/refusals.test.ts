/** What a checkpoint of any architecture asks for and is not computed, or is out of bounds, or does not fit: by name. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { readConfig } from '../../../src/formats/huggingFace/config.ts';
import { openCheckpoint } from '../../../src/formats/huggingFace/importModel.ts';
import { type ByteSource, encodeHeader } from '../../../src/formats/safetensors.ts';
import { ARCHITECTURES, openDirectory } from './fixtures.ts';

const rawConfig = async (name: string) =>
  JSON.parse(await readFile(join(ARCHITECTURES, name, 'config.json'), 'utf8'));

describe('a configuration', () => {
  const rope = (parameters: object) => ({ rope_theta: 1e4, ...parameters });
  test.each<[string, Record<string, unknown>, RegExp]>([
    ['gpt2', { n_layer: 10_000_000 }, /n_layer is 10000000; supported is a whole number from 1 to 1024/],
    ['gpt2', { n_positions: 1e12 }, /n_positions is 1000000000000; supported is a whole number from 1/],
    ['gpt2', { layer_norm_epsilon: 0 }, /layer_norm_epsilon is 0; supported is a number above 0/],
    ['gpt2', { tie_word_embeddings: 'yes' }, /tie_word_embeddings is yes; supported is true or false/],
    ['llama', { num_hidden_layers: 10_000_000 }, /num_hidden_layers is 10000000; supported is/],
    ['llama', { vocab_size: 2.5 }, /vocab_size is 2\.5; supported is a whole number/],
    ['llama', { hidden_size: -16 }, /hidden_size is -16; supported is a whole number from 1 to 65536/],
    ['llama', { intermediate_size: '24' }, /intermediate_size is 24; supported is a whole number/],
    [
      'llama',
      { num_key_value_heads: 3 },
      /num_key_value_heads is 3; supported is a divisor of num_attention_heads, 4/,
    ],
    ['llama', { head_dim: 5 }, /head_dim is 5; supported is an even number/],
    ['llama', { hidden_act: 'relu2' }, /hidden_act is relu2; supported is gelu_new or .*silu/],
    [
      'llama',
      { rope_parameters: rope({ rope_type: 'dynamic', factor: 2 }) },
      /rope_parameters\.rope_type is dynamic; supported is default or linear or llama3 or yarn/,
    ],
    [
      'llama',
      { rope_scaling: { type: 'longrope', factor: 2 } },
      /rope_scaling\.type is longrope; supported is/,
    ],
    [
      'llama',
      { rope_parameters: rope({ rope_type: 'linear' }) },
      /rope_parameters\.factor is null; supported is a number above 0/,
    ],
    ['llama', { rope_parameters: rope({ rope_type: 'linear', factor: 0 }) }, /rope_parameters\.factor is 0/],
    [
      'llama',
      { rope_parameters: { rope_theta: 1e300 } },
      /rope_parameters\.rope_theta is 1e\+300; supported is a number above 1/,
    ],
    [
      'llama',
      { rope_parameters: rope({ partial_rotary_factor: 0.5 }) },
      /rope_parameters\.partial_rotary_factor is 0\.5; supported is 1/,
    ],
    [
      'llama-3',
      { rope_parameters: rope({ rope_type: 'llama3', factor: 8, low_freq_factor: 4, high_freq_factor: 1 }) },
      /rope_parameters\.high_freq_factor is 1; supported is a number above 4/,
    ],
    ['mistral', { sliding_window: 0 }, /sliding_window is 0; supported is a whole number from 1/],
    [
      'qwen2',
      { layer_types: ['full_attention'] },
      /layer_types is \["full_attention"\]; supported is a list of 2/,
    ],
    [
      'qwen2',
      { layer_types: ['full_attention', 'linear_attention'] },
      /layer_types is linear_attention; supported is full_attention or sliding_attention/,
    ],
    [
      'qwen2',
      { layer_types: ['full_attention', 'sliding_attention'], use_sliding_window: false },
      /layer_types is sliding_attention; supported is full_attention, for there is no sliding_window/,
    ],
    [
      'gemma2',
      { use_bidirectional_attention: true },
      /use_bidirectional_attention is true; supported is false/,
    ],
    ['gemma2', { final_logit_softcapping: 0 }, /final_logit_softcapping is 0; supported is a number above 0/],
    ['gemma3', { attn_logit_softcapping: 50 }, /attn_logit_softcapping is 50; supported is null/],
    [
      'gpt-neox',
      { rope_parameters: rope({ partial_rotary_factor: 0.1 }) },
      /partial_rotary_factor is 0\.1; supported is a share of the head's 8 numbers/,
    ],
    ['qwen3', { model_type: 'qwen3_moe' }, /model_type is qwen3_moe; supported is gpt2 or .*gemma3_text/],
    [
      'qwen3',
      { architectures: ['Qwen3ForSequenceClassification'] },
      /architectures is .*; supported is Qwen3ForCausalLM/,
    ],
    ['qwen3', { quantization_config: { bits: 4 } }, /quantization_config is set; supported is none/],
  ])('of %s with %j', async (name, changes, reason) => {
    const raw = await rawConfig(name);
    expect(() => readConfig(raw)).not.toThrow();
    let error: unknown;
    try {
      readConfig({ ...raw, ...changes });
    } catch (caught) {
      error = caught;
    }
    expect(error).toMatchObject({ code: 'INVALID_INPUT', message: expect.stringMatching(reason) });
  });

  test('may be in the older spelling of rotary positions', async () => {
    const { rope_parameters, ...raw } = await rawConfig('llama-3');
    const { rope_theta, rope_type: type, ...scaling } = rope_parameters;
    const older = { ...raw, rope_theta, rope_scaling: { type, ...scaling } };
    expect(readConfig(older)).toEqual(readConfig({ ...raw, rope_parameters }));
    const { rope_parameters: both, ...gemma } = await rawConfig('gemma3');
    const olderGemma = {
      ...gemma,
      rope_theta: 1e6,
      rope_local_base_freq: 1e4,
      rope_scaling: { rope_type: 'linear', factor: 8 },
    };
    expect(readConfig(olderGemma)).toEqual(readConfig({ ...gemma, rope_parameters: both }));
    const { rope_parameters: partial, ...neox } = await rawConfig('gpt-neox');
    expect(readConfig({ ...neox, rotary_pct: 0.25, rotary_emb_base: 10_000 })).toEqual(
      readConfig({ ...neox, rope_parameters: partial }),
    );
  });
});

type Entries = Record<string, { dtype: 'F32'; shape: readonly number[] }>;

/** The fixture's checkpoint with other tensors; data follow the order of the entries. */
async function openWith(
  name: string,
  change: (entries: Entries, data: Map<string, Buffer>) => void,
  settings: Record<string, unknown> = {},
): Promise<void> {
  const file = await readFile(join(ARCHITECTURES, name, 'model.safetensors'));
  const headEnd = 8 + Number(file.readBigUInt64LE(0));
  const { __metadata__: _, ...head } = JSON.parse(file.subarray(8, headEnd).toString());
  const entries: Entries = {};
  const data = new Map<string, Buffer>();
  for (const [
    tensor,
    {
      shape,
      data_offsets: [begin, end],
    },
  ] of Object.entries<{ shape: number[]; data_offsets: [number, number] }>(head)) {
    entries[tensor] = { dtype: 'F32', shape };
    data.set(tensor, file.subarray(headEnd + begin, headEnd + end));
  }
  change(entries, data);
  const weights = Buffer.concat([
    encodeHeader(entries, {}),
    ...Object.keys(entries).map((tensor) => data.get(tensor)!),
  ]);
  const config = Buffer.from(JSON.stringify({ ...(await rawConfig(name)), ...settings }));
  const files = openDirectory(join(ARCHITECTURES, name));
  const changed: Record<string, Buffer> = { 'model.safetensors': weights, 'config.json': config };
  const inMemory = (bytes: Buffer): ByteSource => ({
    size: bytes.length,
    read: async (begin, end) => Buffer.from(new Uint8Array(bytes.subarray(begin, end)).buffer),
  });
  try {
    const { weights } = await openCheckpoint({
      open: async (file) => (changed[file] ? inMemory(changed[file]) : files.open(file)),
    });
    for await (const _ of weights.chunks());
  } finally {
    await files.close();
  }
}

const copyOf = (name: string, to: string) => (entries: Entries, data: Map<string, Buffer>) => {
  entries[to] = entries[name]!;
  data.set(to, data.get(name)!);
};

describe('tensors', () => {
  const KEY = 'model.layers.1.self_attn.k_proj.weight';
  test('that are missing, left over or of another shape', async () => {
    await expect(openWith('llama', () => {})).resolves.toBeUndefined();
    await expect(openWith('llama', (entries) => delete entries[KEY])).rejects.toThrow(
      'no weight "layers.1.self_attn.k_proj.weight"',
    );
    await expect(openWith('llama', copyOf(KEY, 'model.layers.1.self_attn.k_proj.bias'))).rejects.toThrow(
      'llama model has no weight "model.layers.1.self_attn.k_proj.bias"',
    );
    await expect(
      openWith('llama', (entries) => {
        entries[KEY] = { ...entries[KEY]!, shape: [...entries[KEY]!.shape].reverse() };
      }),
    ).rejects.toThrow('k_proj.weight has the shape [16,8]; config.json makes it [8,16]');
    await expect(openWith('llama', copyOf(KEY, KEY.slice('model.'.length)))).rejects.toThrow(/twice/);
    await expect(openWith('qwen2', () => {}, { tie_word_embeddings: false })).rejects.toThrow(
      'no weight "lm_head.weight"',
    );
  });

  test('with a value that is not finite', async () => {
    const spoil = (_: Entries, data: Map<string, Buffer>) => {
      const bytes = Buffer.from(data.get(KEY)!);
      bytes.writeFloatLE(Number.NaN, 4 * 37);
      data.set(KEY, bytes);
    };
    await expect(openWith('llama', spoil)).rejects.toThrow(/k_proj\.weight has the value NaN at element 37/);
  });

  test.each([
    ['gpt2', 'transformer.wte.weight', 'lm_head.weight'],
    ['qwen2', 'model.embed_tokens.weight', 'lm_head.weight'],
    ['gpt-neox-serial', 'gpt_neox.embed_in.weight', 'embed_out.weight'],
  ])(
    '%s: an unembedding may be the embeddings again; one of its own contradicts the configuration',
    async (name, embeddings, head) => {
      const same = copyOf(embeddings, head);
      await expect(openWith(name, same)).resolves.toBeUndefined();
      const other = (entries: Entries, data: Map<string, Buffer>) => {
        same(entries, data);
        const bytes = Buffer.from(data.get(head)!);
        bytes.writeFloatLE(bytes.readFloatLE(400) + 1, 400);
        data.set(head, bytes);
      };
      const refused = openWith(name, other);
      await expect(refused).rejects.toThrow(`${head} is not ${embeddings}, though tie_word_embeddings`);
      await expect(openWith(name, other, { tie_word_embeddings: false })).resolves.toBeUndefined();
    },
  );
});
