#include "gemm.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "parallel.h"
#include "thin.h"
#include "vector.h"

namespace alignsae {
namespace {

// A tile of C that stays in registers, with a row of B beside it: 8 rows of 48 columns with AVX-512, of 12 on arm64, 4 of
// 24 with AVX2.
constexpr int ROWS = MANY_REGISTERS ? 8 : 4;
constexpr int VECTORS = 3;
constexpr int COLUMNS = VECTORS * WIDTH;
// Most rows of B that are packed at once: 1024 · 48 floats are 192 kB, which fit into the second-level cache.
constexpr int64_t DEPTH = 1024;
// Floats of A and of B's packed panels that are worked on together: 256 kB and up to 400 kB, which the second-level cache
// holds at once.
constexpr int64_t CHUNK = 64 * 1024;
constexpr int64_t PANELS = 96 * 1024;
// With no more rows than these, packing B would cost as much as it saves.
constexpr int64_t FEW_ROWS = 32;

struct Free {
  void operator()(float* data) const { std::free(data); }
};
using Buffer = std::unique_ptr<float[], Free>;

Buffer allocate(int64_t floats) {
  return Buffer(static_cast<float*>(std::aligned_alloc(64, (floats * sizeof(float) + 63) / 64 * 64)));
}

int64_t panels(int64_t N) { return (N + COLUMNS - 1) / COLUMNS; }

// Columns of B as a tile reads them, its rows `row` apart.
struct Panel {
  const float* data;
  int64_t row;
  // Where the next such panel begins, to be fetched from memory meanwhile; null where there is none.
  const float* next = nullptr;
};

// acc = A [R, K] · B [K, V · WIDTH].
template <int R, int V>
void tile(int64_t K, const float* a, int64_t row, int64_t column, Panel B, Vec (&result)[ROWS][VECTORS]) {
  // A local array, or the compiler would keep it in memory for fear that a or b might be part of it.
  Vec acc[R][V] = {};
  const float* b = B.data;
  const float* next = B.next ? B.next : b;
  const int64_t step = B.next ? B.row : 0;
  for (int64_t k = 0; k < K; k++, a += column, b += B.row, next += step) {
    for (int j = 0; j < VECTORS - 1; j++) __builtin_prefetch(next + j * WIDTH, 0, 2);
    Vec factors[V];
    for (int j = 0; j < V; j++) factors[j] = load(b + j * WIDTH);
#pragma GCC unroll 8
    for (int i = 0; i < R; i++) {
      const Vec factor = all(a[i * row]);
      for (int j = 0; j < V; j++) acc[i][j] += factor * factors[j];
    }
  }
  for (int i = 0; i < R; i++)
    for (int j = 0; j < V; j++) result[i][j] = acc[i][j];
}

template <int V, int R = ROWS>
void tileOfRows(int rows, int64_t K, const float* a, int64_t row, int64_t column, Panel B, Vec (&acc)[ROWS][VECTORS]) {
  if constexpr (R > 1)
    if (rows < R) return tileOfRows<V, R - 1>(rows, K, a, row, column, B, acc);
  tile<R, V>(K, a, row, column, B, acc);
}

void anyTile(int rows, int vectors, int64_t K, const float* a, int64_t row, int64_t column, Panel B,
             Vec (&acc)[ROWS][VECTORS]) {
  switch (vectors) {
    case 3: return tileOfRows<3>(rows, K, a, row, column, B, acc);
    case 2: return tileOfRows<2>(rows, K, a, row, column, B, acc);
    default: return tileOfRows<1>(rows, K, a, row, column, B, acc);
  }
}

// Vectors that the panel from column j on needs: the last one may be narrower than the others.
int vectorsFrom(int64_t j, int64_t N) { return int((std::min<int64_t>(COLUMNS, N - j) + WIDTH - 1) / WIDTH); }

// Copies the panel from column `from` on of B's rows [k, k + K), zero beyond N.
void pack(View B, int64_t k, int64_t K, int64_t from, int64_t N, float* to) {
  const int64_t n = std::min<int64_t>(COLUMNS, N - from), vectors = vectorsFrom(from, N), width = vectors * WIDTH;
  const float* source = B.data + k * B.row + from * B.column;
  if (n == width && B.column == 1) {
    for (int64_t i = 0; i < K; i++, source += B.row, to += width)
      for (int64_t j = 0; j < vectors; j++) store(to + j * WIDTH, load(source + j * WIDTH));
    return;
  }
  if (n < width) std::memset(to, 0, K * width * sizeof(float));
  for (int64_t j = 0; j < n; j++)
    for (int64_t i = 0; i < K; i++) to[i * width + j] = source[i * B.row + j * B.column];
}

struct Target {
  float* data;
  int64_t row, column;
  const float* bias;
};

// Writes a tile, or adds it to what an earlier block of the depth has left there.
void put(const Vec (&acc)[ROWS][VECTORS], int rows, int64_t columns, const Target& C, int64_t i, int64_t j, bool add) {
  float* to = C.data + i * C.row + j * C.column;
  if (columns % WIDTH == 0 && C.column == 1) {
    for (int r = 0; r < rows; r++)
      for (int c = 0; c < columns / WIDTH; c++) {
        float* at = to + r * C.row + c * WIDTH;
        Vec value = acc[r][c];
        if (add) value += load(at);
        else if (C.bias) value += load(C.bias + j + c * WIDTH);
        store(at, value);
      }
    return;
  }
  for (int64_t c = 0; c < columns; c++)
    for (int r = 0; r < rows; r++) {
      float* at = to + r * C.row + c * C.column;
      const float value = acc[r][c / WIDTH][c % WIDTH];
      *at = add ? *at + value : value + (C.bias ? C.bias[j + c] : 0);
    }
}

// Fetches a tile of C, to be written: its rows lie far apart.
void fetchTile(const Target& C, int64_t i, int rows, int64_t j, int64_t columns) {
  if (C.column != 1) return;
  for (int r = 0; r < rows; r++)
    for (int64_t c = 0; c < columns; c += WIDTH) __builtin_prefetch(C.data + (i + r) * C.row + j + c, 1, 3);
}

// What all tiles of a block have in common: B's rows [k, k + K) and A's columns.
struct Block {
  View A, B;
  const Target& C;
  int64_t N, k, K;

  // Rows [from, to) of the panel from column j on.
  void run(int64_t from, int64_t to, int64_t j, Panel panel) const {
    Vec acc[ROWS][VECTORS];
    const int64_t columns = std::min<int64_t>(COLUMNS, N - j);
    const float* next = panel.next;
    for (int64_t i = from; i < to; i += ROWS) {
      // The first tile fetches the next panel's columns but for the last ones, the others all but the first.
      if (next && i > from) panel.next = next + WIDTH;
      const int rows = int(std::min<int64_t>(ROWS, to - i));
      fetchTile(C, i, rows, j, columns);
      anyTile(rows, vectorsFrom(j, N), K, A.data + i * A.row + k * A.column, A.row, A.column, panel, acc);
      put(acc, rows, columns, C, i, j, k > 0);
    }
  }

  // Panels [first, last) for few rows: B is read where it lies, and fetched from memory a panel ahead.
  void runFewRows(int64_t from, int64_t to, int64_t first, int64_t last) const {
    const Buffer packed = allocate(K * COLUMNS);
    for (int64_t p = first; p < last; p++) {
      const int64_t j = p * COLUMNS, width = vectorsFrom(j, N) * WIDTH;
      if (j + width <= N) {
        const float* at = B.data + k * B.row + j;
        run(from, to, j, {at, B.row, p + 1 < last ? at + COLUMNS : nullptr});
        continue;
      }
      pack(B, k, K, j, N, packed.get());
      run(from, to, j, {packed.get(), width});
    }
  }

  // The same for many: as many panels as the cache holds are packed and stay for all rows, some of which stay for all
  // of these panels.
  void runManyRows(int64_t from, int64_t to, int64_t first, int64_t last) const {
    const int64_t inGroup = std::max<int64_t>(1, PANELS / (K * COLUMNS));
    const int64_t inChunk = std::max<int64_t>(ROWS, CHUNK / K / ROWS * ROWS);
    const Buffer packed = allocate(std::min(inGroup, last - first) * K * COLUMNS);
    for (int64_t group = first; group < last; group += inGroup) {
      const int64_t end = std::min(last, group + inGroup);
      const auto place = [&](int64_t p) { return packed.get() + (p - group) * K * COLUMNS; };
      for (int64_t p = group; p < end; p++) pack(B, k, K, p * COLUMNS, N, place(p));
      for (int64_t chunk = from; chunk < to; chunk += inChunk)
        for (int64_t p = group; p < end; p++)
          run(chunk, std::min(to, chunk + inChunk), p * COLUMNS, {place(p), vectorsFrom(p * COLUMNS, N) * WIDTH});
    }
  }
};

// One block of the depth for rows [from, to) and panels [first, last).
void multiplyBlock(View A, View B, const Target& C, int64_t N, int64_t k, int64_t K, int64_t from, int64_t to,
                   int64_t first, int64_t last) {
  const Block block{A, B, C, N, k, K};
  if (to - from <= FEW_ROWS && B.column == 1) block.runFewRows(from, to, first, last);
  else block.runManyRows(from, to, first, last);
}

}  // namespace

void multiply(int64_t M, int64_t N, int64_t K, View A, View B, const float* bias, float* C, int64_t rowC,
              int64_t columnC) {
  if (multiplyThin(M, N, K, A, B, bias, C, rowC, columnC)) return;
  const Target target{C, rowC, columnC, bias};
  const int64_t across = panels(N), down = (M + ROWS - 1) / ROWS;
  const bool byPanels = across >= down / 4;
  const int64_t blocks = std::max<int64_t>(1, (K + DEPTH - 1) / DEPTH);
  // A thread should have at least a tenth of a millisecond of work.
  const int64_t least = std::max<int64_t>(1, 4'000'000 / std::max<int64_t>(1, K * (byPanels ? M * COLUMNS : N * ROWS)));
  parallel(byPanels ? across : down, least, [&](int64_t begin, int64_t end) {
    for (int64_t block = 0; block < blocks; block++) {
      const int64_t k = K * block / blocks, depth = K * (block + 1) / blocks - k;
      if (byPanels) multiplyBlock(A, B, target, N, k, depth, 0, M, begin, end);
      else multiplyBlock(A, B, target, N, k, depth, begin * ROWS, std::min(M, end * ROWS), 0, across);
    }
  });
}

void multiplyByItself(int64_t M, int64_t K, const float* A, float* G) {
  const View rows{A, K, 1}, columns{A, 1, K};
  const Target target{G, M, 1, nullptr};
  const int64_t count = panels(M), blocks = std::max<int64_t>(1, (K + DEPTH - 1) / DEPTH);
  parallel(count, std::max<int64_t>(1, 8'000'000 / (K * M * COLUMNS)), [&](int64_t begin, int64_t end) {
    for (int64_t q = begin; q < end; q++) {
      // Long panels and short ones in turn, so that threads have as much to do.
      const int64_t p = q % 2 ? count - 1 - q / 2 : q / 2, to = std::min(M, (p + 1) * COLUMNS);
      for (int64_t block = 0; block < blocks; block++) {
        const int64_t k = K * block / blocks, depth = K * (block + 1) / blocks - k;
        multiplyBlock(rows, columns, target, M, k, depth, 0, to, p, p + 1);
      }
    }
  });
  for (int64_t i = 0; i < M; i++)
    for (int64_t j = 0; j < i; j++) G[i * M + j] = G[j * M + i];
}

namespace {

struct Coefficients {
  Vec rest1, rest2, rate, epsilon, keep;
  explicit Coefficients(const AdamW& a)
      : rest1(all(1 - a.beta1)), rest2(all(1 - a.beta2)), rate(all(a.rate)), epsilon(all(a.epsilon)), keep(all(1 - a.decay)) {}
};

inline void updateVector(Vec gradient, const Coefficients& c, float* w, float* m, float* v) {
  const Vec first = load(m), second = load(v);
  const Vec nextM = first + (gradient - first) * c.rest1;
  const Vec nextV = second + (gradient * gradient - second) * c.rest2;
  store(m, nextM);
  store(v, nextV);
  store(w, load(w) * c.keep - overRoot(nextM * c.rate, nextV, c.epsilon));
}

inline void updateOne(float gradient, const AdamW& a, float* w, float* m, float* v) {
  *m += (gradient - *m) * (1 - a.beta1);
  *v += (gradient * gradient - *v) * (1 - a.beta2);
  *w = *w * (1 - a.decay) - *m * a.rate / (std::sqrt(*v) + a.epsilon);
}

}  // namespace

void Updater::run(int64_t n, const float* gradient, float scale, float* w, float* m, float* v) const {
  const Coefficients c(adam_);
  const Vec factor = all(scale);
  int64_t i = 0;
  for (; i + WIDTH <= n; i += WIDTH) updateVector(load(gradient + i) * factor, c, w + i, m + i, v + i);
  for (; i < n; i++) updateOne(gradient[i] * scale, adam_, w + i, m + i, v + i);
}

void update(int64_t n, const float* gradient, float scale, const AdamW& adam, float* w, float* m, float* v) {
  const Updater updater(adam);
  // In whole vectors, for the rest of a piece is rounded otherwise: what is rest must not depend on the number of threads.
  const int64_t vectors = (n + WIDTH - 1) / WIDTH;
  parallel(vectors, (1 << 16) / WIDTH, [&](int64_t first, int64_t last) {
    const int64_t from = first * WIDTH, count = std::min(n, last * WIDTH) - from;
    updater.run(count, gradient + from, scale, w + from, m + from, v + from);
  });
}

namespace {

// Floats of Q that a thread keeps packed: 512 kB.
constexpr int64_t PACKED = 128 * 1024;

inline void prefetch(const float* row, int64_t columns) {
  for (int64_t j = 0; j < columns; j += WIDTH) __builtin_prefetch(row + j, 1, 2);
}

struct Matrices {
  int64_t I, J, K;
  const float *P, *Q;
  float *W, *m, *v;
};

void updateRows(const Matrices& x, const AdamW& adam, const Coefficients& c, const float* packedP, int64_t i, int rows,
                const float* packedQ, int64_t j) {
  const int64_t columns = std::min<int64_t>(COLUMNS, x.J - j);
  // Fetched while the tile is computed, for its rows lie far apart.
  for (int r = 0; r < rows; r++)
    for (const float* each : {x.W, x.m, x.v}) prefetch(each + (i + r) * x.J + j, columns);
  Vec acc[ROWS][VECTORS];
  anyTile(rows, vectorsFrom(j, x.J), x.K, packedP, 1, ROWS, {packedQ, vectorsFrom(j, x.J) * WIDTH}, acc);
  for (int r = 0; r < rows; r++) {
    const int64_t at = (i + r) * x.J + j;
    if (columns == COLUMNS)
      for (int s = 0; s < VECTORS; s++)
        updateVector(acc[r][s], c, x.W + at + s * WIDTH, x.m + at + s * WIDTH, x.v + at + s * WIDTH);
    else
      for (int64_t s = 0; s < columns; s++)
        updateOne(acc[r][s / WIDTH][s % WIDTH], adam, x.W + at + s, x.m + at + s, x.v + at + s);
  }
}

void updatePart(const Matrices& x, const AdamW& adam, int64_t from, int64_t to) {
  const Coefficients c(adam);
  const int64_t inBlock = std::max<int64_t>(1, PACKED / (x.K * COLUMNS));
  const Buffer Q = allocate(inBlock * x.K * COLUMNS), P = allocate(x.K * ROWS);
  for (int64_t first = 0; first < panels(x.J); first += inBlock) {
    const int64_t count = std::min(inBlock, panels(x.J) - first);
    for (int64_t p = 0; p < count; p++)
      pack({x.Q, x.J, 1}, 0, x.K, (first + p) * COLUMNS, x.J, Q.get() + p * x.K * COLUMNS);
    for (int64_t i = from; i < to; i += ROWS) {
      const int rows = int(std::min<int64_t>(ROWS, to - i));
      for (int64_t k = 0; k < x.K; k++)
        for (int r = 0; r < rows; r++) P[k * ROWS + r] = x.P[k * x.I + i + r];
      for (int64_t p = 0; p < count; p++)
        updateRows(x, adam, c, P.get(), i, rows, Q.get() + p * x.K * COLUMNS, (first + p) * COLUMNS);
    }
  }
}

}  // namespace

void updateByProduct(int64_t I, int64_t J, int64_t K, const float* P, const float* Q, const AdamW& adam, float* W,
                     float* m, float* v) {
  if (K > DEPTH) {
    // So deep that the product is what takes the time, and that its operands have to be cut into blocks.
    const Buffer gradient = allocate(I * J);
    multiply(I, J, K, {P, 1, I}, {Q, J, 1}, nullptr, gradient.get(), J, 1);
    return update(I * J, gradient.get(), 1, adam, W, m, v);
  }
  const Matrices x{I, J, K, P, Q, W, m, v};
  const int64_t groups = (I + ROWS - 1) / ROWS;
  parallel(groups, std::max<int64_t>(1, 4'000'000 / (K * J * ROWS)), [&](int64_t begin, int64_t end) {
    updatePart(x, adam, begin * ROWS, std::min(I, end * ROWS));
  });
}

}  // namespace alignsae
