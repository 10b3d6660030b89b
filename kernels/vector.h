// Sixteen floats at a time, on any processor: GCC and Clang cut them to what the processor has.
#pragma once
#include <cmath>
#include <cstdint>
#ifdef __AVX512F__
#include <immintrin.h>
#endif

namespace alignsae {

constexpr int WIDTH = 16;
typedef float Vec __attribute__((vector_size(64)));
typedef float LooseVec __attribute__((vector_size(64), aligned(4), may_alias));

inline Vec load(const float* from) { return *reinterpret_cast<const LooseVec*>(from); }
inline void store(float* to, Vec value) { *reinterpret_cast<LooseVec*>(to) = value; }
inline Vec all(float value) { return value - Vec{}; }

// change / (√square + epsilon), for square ≥ 0. Where the processor has approximations of 1/√x and 1/x, one step of
// Newton's method makes them exact to the last bits, in a third of the time of its division and root.
inline Vec overRoot(Vec change, Vec square, Vec epsilon) {
#ifdef __AVX512F__
  const Vec x = (Vec)_mm512_maskz_max_ps(0xffff, (__m512)square, _mm512_set1_ps(1e-37f));
  Vec inverse = (Vec)_mm512_maskz_rsqrt14_ps(0xffff, (__m512)x);
  inverse = inverse * (1.5f - 0.5f * x * inverse * inverse);
  const Vec divisor = x * inverse + epsilon;
  const Vec reciprocal = (Vec)_mm512_maskz_rcp14_ps(0xffff, (__m512)divisor);
  return change * (reciprocal * (2.0f - divisor * reciprocal));
#else
  for (int i = 0; i < WIDTH; i++) change[i] /= std::sqrt(square[i]) + epsilon[i];
  return change;
#endif
}

inline float total(Vec x) {
  float sum = 0;
  for (int i = 0; i < WIDTH; i++) sum += x[i];
  return sum;
}

}  // namespace alignsae
