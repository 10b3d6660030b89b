// Tiles of a product: what stays in registers, how B's columns are packed for it, and how it is written.
#pragma once
#include <algorithm>
#include <cstring>

#include "gemm.h"
#include "memory.h"
#include "turn.h"
#include "vector.h"

namespace alignsae {

// What is called at several places and is large: copies would double the time to compile.
#define NEVER_INLINED __attribute__((noinline))

// Columns of B as a tile reads them, its rows `row` apart.
struct Panel {
  const float* data;
  int64_t row;
  // Where the next such panel begins, to be fetched from memory meanwhile; null where there is none.
  const float* next = nullptr;
};

struct Target {
  float* data;
  int64_t row, column;
  const float* bias;
};

// A tile of C of so many rows and vectors, with a row of B beside it. Each of its numbers is one sum over k in order,
// whatever the size of the tile: products by different tiles are equal bit by bit.
template <int ROWS_, int VECTORS_>
struct Tile {
  static constexpr int ROWS = ROWS_, VECTORS = VECTORS_, COLUMNS = VECTORS * WIDTH;
  using Sums = Vec[ROWS][VECTORS];
  // Higher tiles leave more rows at the edge to two, or there would be one more to compile for each height.
  static constexpr int MOST_AT_EDGES = 8;

  static int64_t panels(int64_t N) { return (N + COLUMNS - 1) / COLUMNS; }

  // Vectors that the panel from column j on needs: the last one may be narrower than the others.
  static int vectorsFrom(int64_t j, int64_t N) { return int((std::min<int64_t>(COLUMNS, N - j) + WIDTH - 1) / WIDTH); }

  // Rows that one tile takes of so many that are left.
  static int rowsOf(int64_t left) { return left >= ROWS ? ROWS : int(std::min<int64_t>(left, MOST_AT_EDGES)); }

  // sums = A [rows, K] · B [K, vectors · WIDTH].
  static void multiply(int rows, int vectors, int64_t K, const float* a, int64_t row, int64_t column, Panel B, Sums& sums) {
    ofVectors<VECTORS>(rows, vectors, K, a, row, column, B, sums);
  }

  // Copies the panel from column `from` on of B's rows [k, k + K), zero beyond N.
  NEVER_INLINED static void pack(View B, int64_t k, int64_t K, int64_t from, int64_t N, float* to) {
    const int64_t n = std::min<int64_t>(COLUMNS, N - from), vectors = vectorsFrom(from, N), width = vectors * WIDTH;
    const float* source = B.data + k * B.row + from * B.column;
    if (n == width && B.column == 1) {
      for (int64_t i = 0; i < K; i++, source += B.row, to += width)
        for (int64_t j = 0; j < vectors; j++) store(to + j * WIDTH, load(source + j * WIDTH));
      return;
    }
    if (n < width) std::memset(to, 0, K * width * sizeof(float));
    if (B.row == 1) return turn(n, K, source, B.column, to, width);
    for (int64_t j = 0; j < n; j++)
      for (int64_t i = 0; i < K; i++) to[i * width + j] = source[i * B.row + j * B.column];
  }

  // Writes a tile, or adds it to what an earlier block of the depth has left there.
  NEVER_INLINED static void put(const Sums& sums, int rows, int64_t columns, const Target& C, int64_t i, int64_t j, bool add) {
    float* to = C.data + i * C.row + j * C.column;
    if (columns % WIDTH == 0 && C.column == 1) return putVectors(sums, rows, int(columns / WIDTH), C, to, j, add);
    if (C.row == 1 && !C.bias) {
      const float* from = reinterpret_cast<const float*>(sums);
      return add ? turn<true>(rows, columns, from, COLUMNS, to, C.column) : turn(rows, columns, from, COLUMNS, to, C.column);
    }
    for (int64_t c = 0; c < columns; c++)
      for (int r = 0; r < rows; r++) {
        float* at = to + r * C.row + c * C.column;
        const float value = sums[r][c / WIDTH][c % WIDTH];
        *at = add ? *at + value : value + (C.bias ? C.bias[j + c] : 0);
      }
  }

 private:
  static void putVectors(const Sums& sums, int rows, int vectors, const Target& C, float* to, int64_t j, bool add) {
    for (int r = 0; r < rows; r++)
      for (int c = 0; c < vectors; c++) {
        float* at = to + r * C.row + c * WIDTH;
        Vec value = sums[r][c];
        if (add) value += load(at);
        else if (C.bias) value += load(C.bias + j + c * WIDTH);
        store(at, value);
      }
  }

  template <int V>
  static void ofVectors(int rows, int vectors, int64_t K, const float* a, int64_t row, int64_t column, Panel B, Sums& sums) {
    if constexpr (V > 1)
      if (vectors < V) return ofVectors<V - 1>(rows, vectors, K, a, row, column, B, sums);
    ofRows<V, ROWS>(rows, K, a, row, column, B, sums);
  }

  template <int V, int R>
  static void ofRows(int rows, int64_t K, const float* a, int64_t row, int64_t column, Panel B, Sums& sums) {
    if constexpr (R > 1)
      if (rows < R) return ofRows<V, (R > MOST_AT_EDGES ? MOST_AT_EDGES : R - 1)>(rows, K, a, row, column, B, sums);
    exactly<R, V>(K, a, row, column, B, sums);
  }

  template <int R, int V>
  static void exactly(int64_t K, const float* a, int64_t row, int64_t column, Panel B, Sums& sums) {
    // A local array, or the compiler would keep it in memory for fear that a or b might be part of it.
    Vec acc[R][V] = {};
    const float* b = B.data;
    const float* next = B.next ? B.next : b;
    const int64_t step = B.next ? B.row : 0;
    for (int64_t k = 0; k < K; k++, a += column, b += B.row, next += step) {
      for (int j = 0; j < VECTORS - 1; j++) __builtin_prefetch(next + j * WIDTH, 0, 2);
      Vec factors[V];
      for (int j = 0; j < V; j++) factors[j] = load(b + j * WIDTH);
#pragma GCC unroll 16
      for (int i = 0; i < R; i++) {
        const Vec factor = all(a[i * row]);
        for (int j = 0; j < V; j++) acc[i][j] += factor * factors[j];
      }
    }
    for (int i = 0; i < R; i++)
      for (int j = 0; j < V; j++) sums[i][j] = acc[i][j];
  }
};

// The tile that is used unless another was measured to be faster: 8 rows of 48 columns with AVX-512, of 12 on arm64, 4 of
// 24 with AVX2.
using OwnTile = Tile<MANY_REGISTERS ? 8 : 4, 3>;

}  // namespace alignsae
