// GPT-2's GELU, ½x(1 + tanh(√(2/π)(x + 0.044715x³))), computed as the equal x·σ(2√(2/π)(x + 0.044715x³)).
#pragma once
#include "rows.h"

namespace alignsae {

constexpr float GELU_LINEAR = 1.5957691216057308f;
constexpr float GELU_CUBIC = GELU_LINEAR * 0.044715f;

// What x is multiplied by.
inline Vec geluGate(Vec x, Vec square) {
  return 1.0f / (1.0f + exponential(-x * (square * GELU_CUBIC + GELU_LINEAR)));
}

// The slope of x·gate at x.
inline Vec geluSlope(Vec x, Vec square, Vec gate) {
  return gate + x * gate * (1.0f - gate) * (square * (3 * GELU_CUBIC) + GELU_LINEAR);
}

}  // namespace alignsae
