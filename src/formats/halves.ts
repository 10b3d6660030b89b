/** IEEE 754 halves as float32. */

/** The float32 bits of every half, made when the first is asked for. */
let table: Uint32Array | undefined;
let floats: Float32Array | undefined;

/** Float32 bits by the bits of a half, `[65536]`. */
export function halfBits(): Uint32Array {
  table ??= Uint32Array.from({ length: 1 << 16 }, (_, bits) => floatBits(bits));
  return table;
}

/** The value of the half of these bits. */
export function halfToFloat(bits: number): number {
  floats ??= new Float32Array(halfBits().buffer);
  return floats[bits]!;
}

/** Bits of the float32 that an IEEE 754 half of these bits is. */
function floatBits(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  const value =
    exponent === 0
      ? fraction * 2 ** -24
      : exponent === 0x1f
        ? fraction
          ? Number.NaN
          : Infinity
        : (1 + fraction / 1024) * 2 ** (exponent - 15);
  return new Uint32Array(Float32Array.of(sign * value).buffer)[0]!;
}
