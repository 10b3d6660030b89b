// Work on the rows of matrices, whose length need not be a multiple of the vectors'.
#pragma once
#include <cstdint>
#include <cstring>

#include "vector.h"

namespace alignsae {

typedef int32_t IntVec __attribute__((vector_size(VECTOR_BYTES)));

// The first n < WIDTH floats, zero behind them.
inline Vec loadSome(const float* from, int64_t n) {
#ifdef __AVX512F__
  return (Vec)_mm512_maskz_loadu_ps(__mmask16((1u << n) - 1), from);
#else
  Vec value = {};
  std::memcpy(&value, from, n * sizeof(float));
  return value;
#endif
}
inline void storeSome(float* to, Vec value, int64_t n) {
#ifdef __AVX512F__
  _mm512_mask_storeu_ps(to, __mmask16((1u << n) - 1), (__m512)value);
#else
  std::memcpy(to, &value, n * sizeof(float));
#endif
}

// Calls `part(i, n)` for [0, count) in vectors: n is WIDTH but for the last.
template <class Part>
inline void eachVector(int64_t count, const Part& part) {
  int64_t i = 0;
  for (; i + WIDTH <= count; i += WIDTH) part(i, int64_t(WIDTH));
  if (i < count) part(i, count - i);
}

inline Vec loadUpTo(const float* from, int64_t n) { return n == WIDTH ? load(from) : loadSome(from, n); }
inline void storeUpTo(float* to, Vec value, int64_t n) { n == WIDTH ? store(to, value) : storeSome(to, value, n); }

// Lanes below n of a, the others of b.
inline Vec firstLanes(int64_t n, Vec a, Vec b) {
  IntVec lane;
  for (int i = 0; i < WIDTH; i++) lane[i] = i;
  return lane < int32_t(n) ? a : b;
}

inline float dotProduct(int64_t n, const float* x, const float* y) {
  Vec sums[4] = {};
  int64_t i = 0;
  for (; i + 4 * WIDTH <= n; i += 4 * WIDTH)
    for (int j = 0; j < 4; j++) sums[j] += load(x + i + j * WIDTH) * load(y + i + j * WIDTH);
  eachVector(n - i, [&](int64_t j, int64_t k) { sums[0] += loadUpTo(x + i + j, k) * loadUpTo(y + i + j, k); });
  return total(sums[0] + sums[1] + (sums[2] + sums[3]));
}

inline Vec larger(Vec a, Vec b) { return a > b ? a : b; }

// eˣ to 2 units in the last place; what would overflow or be no normal number is as at the limit. Powers of two come
// from the exponent's bits, the rest, |r| ≤ ½ ln 2, from its Taylor series.
inline Vec exponential(Vec x) {
  x = larger(all(-87.0f), x > 88.0f ? all(88.0f) : x);
  // Added to a float, this leaves its nearest integer in the low bits.
  const float magic = 12582912.0f;
  const Vec shifted = x * 1.44269504f + magic;
  const Vec n = shifted - magic;
  const Vec r = (x - n * 0.693359375f) - n * -2.12194440e-4f;
  Vec p = r * 1.9875691500e-4f + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  return (Vec)((IntVec)p + ((IntVec)shifted << 23));
}

}  // namespace alignsae
