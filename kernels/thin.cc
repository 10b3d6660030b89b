#include "thin.h"

#include <algorithm>

#include "parallel.h"
#include "rows.h"

namespace alignsae {
namespace {

constexpr int64_t FEW = 4;
// Rows of B that are read together.
constexpr int64_t TOGETHER = 8;
// Floats of the large matrix that a thread reads at least.
constexpr int64_t LEAST = 1 << 16;

// C's columns [j, j + n), read and written once for `rows` ≤ TOGETHER rows of B.
inline void addRows(int64_t M, int64_t rows, const float* a, int64_t rowA, const float* b, int64_t rowB, float* c,
                    int64_t rowC, int64_t n) {
  Vec factors[TOGETHER];
  for (int64_t k = 0; k < rows; k++) factors[k] = loadUpTo(b + k * rowB, n);
  for (int64_t i = 0; i < M; i++) {
    Vec sum = loadUpTo(c + i * rowC, n);
    for (int64_t k = 0; k < rows; k++) sum += all(a[i * rowA + k]) * factors[k];
    storeUpTo(c + i * rowC, sum, n);
  }
}

void fewRows(int64_t M, int64_t N, int64_t K, View A, View B, const float* bias, float* C, int64_t rowC) {
  const int64_t vectors = (N + WIDTH - 1) / WIDTH;
  parallel(vectors, unitsIn(LEAST, WIDTH * K), [&](int64_t first, int64_t last) {
    const int64_t from = first * WIDTH, count = std::min(N, last * WIDTH) - from;
    for (int64_t i = 0; i < M; i++) std::fill_n(C + i * rowC + from, count, 0.0f);
    int64_t k = 0;
    for (; k + TOGETHER <= K; k += TOGETHER)
      eachVector(count, [&](int64_t j, int64_t n) {
        addRows(M, TOGETHER, A.data + k, A.row, B.data + k * B.row + from + j, B.row, C + from + j, rowC, n);
      });
    if (k < K)
      eachVector(count, [&](int64_t j, int64_t n) {
        addRows(M, K - k, A.data + k, A.row, B.data + k * B.row + from + j, B.row, C + from + j, rowC, n);
      });
    if (bias)
      for (int64_t i = 0; i < M; i++)
        for (int64_t j = from; j < from + count; j++) C[i * rowC + j] += bias[j];
  });
}

void fewColumns(int64_t M, int64_t N, int64_t K, View A, View B, const float* bias, float* C, int64_t rowC,
                int64_t columnC) {
  parallel(M, unitsIn(LEAST, K), [&](int64_t from, int64_t to) {
    for (int64_t i = from; i < to; i++)
      for (int64_t j = 0; j < N; j++)
        C[i * rowC + j * columnC] = dotProduct(K, A.data + i * A.row, B.data + j * B.column) + (bias ? bias[j] : 0);
  });
}

}  // namespace

bool multiplyThin(int64_t M, int64_t N, int64_t K, View A, View B, const float* bias, float* C, int64_t rowC,
                  int64_t columnC) {
  if (M <= FEW && A.column == 1 && B.column == 1 && columnC == 1) fewRows(M, N, K, A, B, bias, C, rowC);
  else if (N <= FEW && A.column == 1 && B.row == 1) fewColumns(M, N, K, A, B, bias, C, rowC, columnC);
  else return false;
  return true;
}

}  // namespace alignsae
