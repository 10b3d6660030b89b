// AdamW: an update by a gradient, and one by a product that is never in memory whole.
#include <algorithm>
#include <cmath>

#include "gemm.h"
#include "parallel.h"
#include "tile.h"
#include "vector.h"

namespace alignsae {
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

void updateRows(const Matrices& x, const AdamW& adam, const Coefficients& c, const float* packedP, int64_t i, int rows,
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
  for (int64_t first = 0; first < OwnTile::panels(x.J); first += inBlock) {
    const int64_t count = std::min(inBlock, OwnTile::panels(x.J) - first);
    for (int64_t p = 0; p < count; p++)
      OwnTile::pack({x.Q, x.J, 1}, 0, x.K, (first + p) * COLUMNS, x.J, Q.get() + p * x.K * COLUMNS);
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
  if (K > PRODUCT_DEPTH) {
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
