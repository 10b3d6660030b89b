// Products of small matrices in the cache, in one thread.
#pragma once
#include <algorithm>
#include <cstdint>

#include "vector.h"

namespace alignsae {

template <int R, int V>
inline void smallTile(int64_t K, const float* a, int64_t row, int64_t column, const float* b, int64_t rowB, float* c,
                      int64_t rowC, bool add) {
  Vec acc[R][V] = {};
  for (int64_t k = 0; k < K; k++, a += column, b += rowB) {
    Vec factors[V];
    for (int j = 0; j < V; j++) factors[j] = load(b + j * WIDTH);
#pragma GCC unroll 8
    for (int i = 0; i < R; i++)
#pragma GCC unroll 2
      for (int j = 0; j < V; j++) acc[i][j] += all(a[i * row]) * factors[j];
  }
  for (int i = 0; i < R; i++)
    for (int j = 0; j < V; j++) {
      float* at = c + i * rowC + j * WIDTH;
      store(at, add ? load(at) + acc[i][j] : acc[i][j]);
    }
}

template <int R>
inline void smallRows(int64_t N, int64_t K, const float* a, int64_t row, int64_t column, const float* b, int64_t rowB,
                      float* c, int64_t rowC, bool add) {
  int64_t j = 0;
  for (; j + 2 * WIDTH <= N; j += 2 * WIDTH) smallTile<R, 2>(K, a, row, column, b + j, rowB, c + j, rowC, add);
  if (j < N) smallTile<R, 1>(K, a, row, column, b + j, rowB, c + j, rowC, add);
}

// C [M, N] = A [M, K] · B [K, N], or added to C. N is a multiple of WIDTH; element (i, k) of A is at
// a[i * row + k * column], rows of B and C are contiguous.
inline void smallProduct(int64_t M, int64_t N, int64_t K, const float* a, int64_t row, int64_t column, const float* b,
                         int64_t rowB, float* c, int64_t rowC, bool add) {
  int64_t i = 0;
  if (MANY_REGISTERS)
    for (; i + 8 <= M; i += 8) smallRows<8>(N, K, a + i * row, row, column, b, rowB, c + i * rowC, rowC, add);
  for (; i + 4 <= M; i += 4) smallRows<4>(N, K, a + i * row, row, column, b, rowB, c + i * rowC, rowC, add);
  for (; i < M; i++) smallRows<1>(N, K, a + i * row, row, column, b, rowB, c + i * rowC, rowC, add);
}

}  // namespace alignsae
