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
