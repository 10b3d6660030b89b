// Matrices turned over, in squares of four by four.
#pragma once
#include <cstdint>

namespace alignsae {

typedef float Four __attribute__((vector_size(16)));
typedef float LooseFour __attribute__((vector_size(16), aligned(4), may_alias));

template <bool ADD>
inline void putFour(float* to, Four value) {
  LooseFour* at = reinterpret_cast<LooseFour*>(to);
  *at = ADD ? *at + value : value;
}

template <bool ADD>
inline void turnSquare(const float* from, int64_t rowFrom, float* to, int64_t rowTo) {
  const auto row = [&](int i) -> Four { return *reinterpret_cast<const LooseFour*>(from + i * rowFrom); };
  const Four a = row(0), b = row(1), c = row(2), d = row(3);
  const Four ab = {a[0], b[0], a[1], b[1]}, cd = {c[0], d[0], c[1], d[1]};
  const Four AB = {a[2], b[2], a[3], b[3]}, CD = {c[2], d[2], c[3], d[3]};
  putFour<ADD>(to, Four{ab[0], ab[1], cd[0], cd[1]});
  putFour<ADD>(to + rowTo, Four{ab[2], ab[3], cd[2], cd[3]});
  putFour<ADD>(to + 2 * rowTo, Four{AB[0], AB[1], CD[0], CD[1]});
  putFour<ADD>(to + 3 * rowTo, Four{AB[2], AB[3], CD[2], CD[3]});
}

// to [m, n] = fromᵀ, from [n, m], or added to it; rows lie `rowFrom` and `rowTo` apart.
template <bool ADD = false>
inline void turn(int64_t n, int64_t m, const float* from, int64_t rowFrom, float* to, int64_t rowTo) {
  const auto one = [&](int64_t i, int64_t j) {
    float* at = to + j * rowTo + i;
    *at = ADD ? *at + from[i * rowFrom + j] : from[i * rowFrom + j];
  };
  for (int64_t j = 0; j < m; j += 4) {
    const int64_t end = j + 4 < m ? j + 4 : m;
    int64_t i = 0;
    if (end == j + 4)
      for (; i + 4 <= n; i += 4) turnSquare<ADD>(from + i * rowFrom + j, rowFrom, to + j * rowTo + i, rowTo);
    for (; i < n; i++)
      for (int64_t k = j; k < end; k++) one(i, k);
  }
}

}  // namespace alignsae
