// As many floats at a time as the processor has in a register. Longer vectors would be correct anywhere, but compilers keep
// in memory what fits no register.
#pragma once
#include <cmath>
#include <cstdint>
#if defined(__SSE__)
#include <immintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

namespace alignsae {

#if defined(__AVX512F__)
constexpr int VECTOR_BYTES = 64;
#elif defined(__AVX__)
constexpr int VECTOR_BYTES = 32;
#else
constexpr int VECTOR_BYTES = 16;
#endif
// Whether there are 32 such registers, and not 16.
#if defined(__AVX512F__) || defined(__aarch64__)
constexpr bool MANY_REGISTERS = true;
#else
constexpr bool MANY_REGISTERS = false;
#endif

constexpr int WIDTH = VECTOR_BYTES / sizeof(float);
typedef float Vec __attribute__((vector_size(VECTOR_BYTES)));
typedef float LooseVec __attribute__((vector_size(VECTOR_BYTES), aligned(4), may_alias));

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
#elif defined(__AVX__)
  return change / ((Vec)_mm256_sqrt_ps((__m256)square) + epsilon);
#elif defined(__SSE__)
  return change / ((Vec)_mm_sqrt_ps((__m128)square) + epsilon);
#elif defined(__aarch64__)
  return change / ((Vec)vsqrtq_f32((float32x4_t)square) + epsilon);
#else
  for (int i = 0; i < WIDTH; i++) change[i] /= std::sqrt(square[i]) + epsilon[i];
  return change;
#endif
}

// What `join` makes of all lanes: of the two halves, of the halves of that, and so on.
template <class Join>
inline float overLanes(Vec x, Join join) {
  float lanes[WIDTH];
  store(lanes, x);
  for (int half = WIDTH / 2; half > 0; half /= 2)
    for (int i = 0; i < half; i++) lanes[i] = join(lanes[i], lanes[i + half]);
  return lanes[0];
}

inline float total(Vec x) {
  return overLanes(x, [](float a, float b) { return a + b; });
}

// Of numbers; where one is none, it need not tell.
inline float largest(Vec x) {
  return overLanes(x, [](float a, float b) { return a > b ? a : b; });
}

}  // namespace alignsae
