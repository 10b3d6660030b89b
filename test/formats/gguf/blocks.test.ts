import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { BLOCK_TYPES } from '../../../src/formats/gguf/blocks.ts';

interface Expected {
  type: number;
  blocks: string;
  values: string;
}
const FIXTURE = new URL('../../fixtures/gguf/blocks.json', import.meta.url);
const expected = JSON.parse(readFileSync(FIXTURE, 'utf8')) as Record<string, Expected>;

describe('blocks of a GGUF file', () => {
  it.each(Object.entries(expected))(
    '%s are widened as the Python package does, to the last bit',
    (name, fixture) => {
      const type = BLOCK_TYPES.get(fixture.type)!;
      expect(type.name).toBe(name);
      const bytes = Buffer.from(fixture.blocks, 'base64');
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      const count = bytes.byteLength / type.bytes;
      const values = new Float32Array(count * type.values);
      for (let i = 0; i < count; i++) type.widen(view, i * type.bytes, values, i * type.values);
      expect(Buffer.from(values.buffer).equals(Buffer.from(fixture.values, 'base64'))).toBe(true);
    },
  );

  it('of every supported type are held to it', () => {
    expect(
      Object.values(expected)
        .map(({ type }) => type)
        .sort(),
    ).toEqual([...BLOCK_TYPES.keys()].sort());
  });
});
