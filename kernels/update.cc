// AdamW: an update by a gradient, and one by a product that is never in memory whole.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "gemm.h"
#include "parallel.h"
#include "rows.h"
#include "tile.h"

namespace alignsae {
namespace {

struct Coefficients {
  Vec rest1, rest2, rate, epsilon, keep;
  explicit Coefficients(const AdamW& a)
      : rest1(all(1 - a.beta1)), rest2(all(1 - a.beta2)), rate(all(a.rate)), epsilon(all(a.epsilon)), keep(all(1 - a.decay)) {}
};

// The first n weights of a vector.
inline void updateVector(Vec gradient, const Coefficients& c, float* w, float* m, float* v, int64_t n = WIDTH) {
  const Vec first = loadUpTo(m, n), second = loadUpTo(v, n);
  const Vec nextM = first + (gradient - first) * c.rest1;
  const Vec nextV = second + (gradient * gradient - second) * c.rest2;
  storeUpTo(m, nextM, n);
  storeUpTo(v, nextV, n);
  storeUpTo(w, loadUpTo(w, n) * c.keep - overRoot(nextM * c.rate, nextV, c.epsilon), n);
}

}  // namespace

void Updater::run(int64_t n, const float* gradient, float scale, float* w, float* m, float* v) const {
  const Coefficients c(adam_);
  const Vec factor = all(scale);
  eachVector(n, [&](int64_t i, int64_t count) {
    updateVector(loadUpTo(gradient + i, count) * factor, c, w + i, m + i, v + i, count);
  });
}

void update(int64_t n, const float* gradient, float scale, const AdamW& adam, float* w, float* m, float* v) {
  const Updater updater(adam);
  const int64_t vectors = (n + WIDTH - 1) / WIDTH;
  parallel(vectors, (1 << 16) / WIDTH, [&](int64_t first, int64_t last) {
    const int64_t from = first * WIDTH, count = std::min(n, last * WIDTH) - from;
    updater.run(count, gradient + from, scale, w + from, m + from, v + from);
  });
}

namespace {

constexpr int ROWS = OwnTile::ROWS, VECTORS = OwnTile::VECTORS, COLUMNS = OwnTile::COLUMNS;
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

// Copies columns [i, i + rows) of P, behind one another for each k.
void packRows(const Matrices& x, int64_t i, int rows, float* packed) {
  const float* from = x.P + i;
  for (int64_t k = 0; k < x.K; k++, from += x.I, packed += ROWS) {
    // Of a length that is known while compiling, or every few numbers become a call.
    if (rows == ROWS) std::memcpy(packed, from, ROWS * sizeof(float));
    else for (int r = 0; r < rows; r++) packed[r] = from[r];
  }
}

void updateRows(const Matrices& x, const Coefficients& c, const float* packedP, int64_t i, int rows,
                const float* packedQ, int64_t j) {
  const int64_t columns = std::min<int64_t>(COLUMNS, x.J - j);
  // Fetched while the tile is computed, for its rows lie far apart.
  for (int r = 0; r < rows; r++)
    for (const float* each : {x.W, x.m, x.v}) prefetch(each + (i + r) * x.J + j, columns);
  OwnTile::Sums acc;
  const int vectors = OwnTile::vectorsFrom(j, x.J);
  OwnTile::multiply(rows, vectors, x.K, packedP, 1, ROWS, {packedQ, vectors * WIDTH}, acc);
  for (int r = 0; r < rows; r++) {
    const int64_t at = (i + r) * x.J + j;
    for (int s = 0; s < VECTORS && s * WIDTH < columns; s++)
      updateVector(acc[r][s], c, x.W + at + s * WIDTH, x.m + at + s * WIDTH, x.v + at + s * WIDTH,
                   std::min<int64_t>(WIDTH, columns - s * WIDTH));
  }
}

void updatePart(const Matrices& x, const AdamW& adam, int64_t from, int64_t to) {
  const Coefficients c(adam);
  const int64_t inBlock = unitsIn(PACKED, x.K * COLUMNS);
  const Buffer Q = allocate(inBlock * x.K * COLUMNS), P = allocate(x.K * ROWS);
  for (int64_t first = 0; first < OwnTile::panels(x.J); first += inBlock) {
    const int64_t count = std::min(inBlock, OwnTile::panels(x.J) - first);
    for (int64_t p = 0; p < count; p++)
      OwnTile::pack({x.Q, x.J, 1}, 0, x.K, (first + p) * COLUMNS, x.J, Q.get() + p * x.K * COLUMNS);
    for (int64_t i = from; i < to; i += ROWS) {
      const int rows = int(std::min<int64_t>(ROWS, to - i));
      packRows(x, i, rows, P.get());
      for (int64_t p = 0; p < count; p++)
        updateRows(x, c, P.get(), i, rows, Q.get() + p * x.K * COLUMNS, (first + p) * COLUMNS);
    }
  }
}

}  // namespace

void updateByProduct(int64_t I, int64_t J, int64_t K, const float* P, const float* Q, const AdamW& adam, float* W,
                     float* m, float* v) {
  if (K > PRODUCT_DEPTH) {
    // So deep that the product is what takes the time, and that its operands have to be cut into blocks.
    const Buffer gradient = allocate(I * J);
    multiply(I, J, K, {P, 1, I}, {Q, J, 1}, nullptr, gradient.get(), J, 1);
    return update(I * J, gradient.get(), 1, adam, W, m, v);
  }
  const Matrices x{I, J, K, P, Q, W, m, v};
  const int64_t groups = (I + ROWS - 1) / ROWS;
  parallel(groups, unitsIn(1'000'000, K * J * ROWS), [&](int64_t begin, int64_t end) {
    updatePart(x, adam, begin * ROWS, std::min(I, end * ROWS));
  });
}

}  // namespace alignsae
