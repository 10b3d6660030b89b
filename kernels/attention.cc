// Causal attention and its gradient, head by head, on queries, keys and values as one projection leaves them.
#include <cmath>
#include <cstdlib>
#include <memory>

#include "op.h"
#include "parallel.h"
#include "rows.h"
#include "smallProduct.h"

namespace alignsae {
namespace {

// Queries whose scores are computed together; of keys, they see those up to the last of them.
constexpr int64_t STRIP = 16;
// Multiply-adds that a thread has at least.
constexpr int64_t LEAST = 1 << 20;

int64_t inVectors(int64_t n) { return (n + WIDTH - 1) / WIDTH * WIDTH; }

// Zeroed memory that is cut into matrices, each in whole vectors.
class Scratch {
 public:
  explicit Scratch(int64_t floats)
      : memory_(static_cast<float*>(std::aligned_alloc(64, floats * sizeof(float)))), next_(memory_.get()) {
    std::memset(next_, 0, floats * sizeof(float));
  }
  float* take(int64_t floats) {
    float* taken = next_;
    next_ += floats;
    return taken;
  }

 private:
  struct Free {
    void operator()(float* data) const { std::free(data); }
  };
  std::unique_ptr<float, Free> memory_;
  float* next_;
};

// B sequences of T tokens with H heads of D; rows of q, k, v are 3·H·D long, rows of outputs H·D.
struct Sizes {
  int64_t B, T, H, D;
  int64_t width() const { return H * D; }
  int64_t units() const { return B * H; }
  int64_t least() const { return std::max<int64_t>(1, LEAST / (T * T * D)); }
  // Strides of the matrices in scratch: [T, D] and [D, T].
  int64_t across() const { return inVectors(D); }
  int64_t along() const { return inVectors(T); }
};

// Copies n rows to rows of `stride`, times `factor`.
void copyRows(int64_t n, int64_t D, const float* from, int64_t row, float factor, float* to, int64_t stride) {
  for (int64_t i = 0; i < n; i++)
    eachVector(D, [&](int64_t j, int64_t k) {
      storeUpTo(to + i * stride + j, loadUpTo(from + i * row + j, k) * factor, k);
    });
}

void transpose(int64_t n, int64_t D, const float* from, int64_t row, float* to, int64_t stride) {
  for (int64_t j = 0; j < D; j++)
    for (int64_t i = 0; i < n; i++) to[j * stride + i] = from[i * row + j];
}

// Scores become probabilities over the first n, 0 up to `padded`; returns the logarithm of their divisor.
float softmax(int64_t n, int64_t padded, float* scores) {
  Vec most = all(-INFINITY);
  for (int64_t j = 0; j < n; j += WIDTH) most = larger(most, firstLanes(n - j, load(scores + j), all(-INFINITY)));
  float max = most[0];
  for (int i = 1; i < WIDTH; i++) max = std::max(max, most[i]);
  Vec sum = {};
  for (int64_t j = 0; j < padded; j += WIDTH) {
    const Vec value = firstLanes(n - j, exponential(load(scores + j) - max), Vec{});
    sum += value;
    store(scores + j, value);
  }
  const float divisor = total(sum), share = 1 / divisor;
  for (int64_t j = 0; j < n; j += WIDTH) store(scores + j, load(scores + j) * share);
  return max + std::log(divisor);
}

// What a unit, one head of one sequence, computes with.
struct Forward {
  const Sizes s;
  Scratch scratch;
  float *q, *keys, *v, *scores, *mixed;
  explicit Forward(const Sizes& sizes)
      : s(sizes), scratch((2 * s.T + STRIP) * s.across() + (s.D + STRIP) * s.along()) {
    q = scratch.take(s.T * s.across());
    v = scratch.take(s.T * s.across());
    mixed = scratch.take(STRIP * s.across());
    keys = scratch.take(s.D * s.along());
    scores = scratch.take(STRIP * s.along());
  }

  // `from` is the unit's first query; `logSums` has H columns.
  void run(const float* from, float* output, float* logSums) {
    const int64_t row = 3 * s.width(), dp = s.across(), tp = s.along();
    copyRows(s.T, s.D, from, row, float(1 / std::sqrt(double(s.D))), q, dp);
    transpose(s.T, s.D, from + s.width(), row, keys, tp);
    copyRows(s.T, s.D, from + 2 * s.width(), row, 1, v, dp);
    for (int64_t first = 0; first < s.T; first += STRIP) {
      const int64_t rows = std::min(STRIP, s.T - first), seen = first + rows, padded = inVectors(seen);
      smallProduct(rows, padded, s.D, q + first * dp, dp, 1, keys, tp, scores, tp, false);
      for (int64_t i = 0; i < rows; i++)
        logSums[(first + i) * s.H] = softmax(first + i + 1, padded, scores + i * tp);
      smallProduct(rows, dp, seen, scores, tp, 1, v, dp, mixed, dp, false);
      copyRows(rows, s.D, mixed, dp, 1, output + first * s.width(), s.width());
    }
  }
};

// The gradient: with P the probabilities and dP = dO·Vᵀ, dS = P∘(dP − Σ P∘dP), dV = Pᵀ·dO, dQ = dS·K, dK = dSᵀ·Q.
struct Backward {
  const Sizes s;
  Scratch scratch;
  float *q, *k, *above, *dq, *dk, *dv, *keys, *values, *probabilities, *slopes;
  explicit Backward(const Sizes& sizes)
      : s(sizes), scratch((5 * s.T + STRIP) * s.across() + 2 * (s.D + STRIP) * s.along()) {
    q = scratch.take(s.T * s.across());
    k = scratch.take(s.T * s.across());
    above = scratch.take(s.T * s.across());
    dk = scratch.take(s.T * s.across());
    dv = scratch.take(s.T * s.across());
    dq = scratch.take(STRIP * s.across());
    keys = scratch.take(s.D * s.along());
    values = scratch.take(s.D * s.along());
    probabilities = scratch.take(STRIP * s.along());
    slopes = scratch.take(STRIP * s.along());
  }

  void run(const float* dy, const float* from, const float* logSums, float* dqkv) {
    const int64_t row = 3 * s.width(), dp = s.across(), tp = s.along();
    const float factor = float(1 / std::sqrt(double(s.D)));
    copyRows(s.T, s.D, from, row, factor, q, dp);
    copyRows(s.T, s.D, from + s.width(), row, 1, k, dp);
    transpose(s.T, s.D, from + s.width(), row, keys, tp);
    transpose(s.T, s.D, from + 2 * s.width(), row, values, tp);
    copyRows(s.T, s.D, dy, s.width(), 1, above, dp);
    std::memset(dk, 0, 2 * s.T * dp * sizeof(float));  // and dv
    for (int64_t first = 0; first < s.T; first += STRIP) {
      const int64_t rows = std::min(STRIP, s.T - first), seen = first + rows, padded = inVectors(seen);
      smallProduct(rows, padded, s.D, q + first * dp, dp, 1, keys, tp, probabilities, tp, false);
      smallProduct(rows, padded, s.D, above + first * dp, dp, 1, values, tp, slopes, tp, false);
      for (int64_t i = 0; i < rows; i++)
        slope(first + i + 1, padded, logSums[(first + i) * s.H], probabilities + i * tp, slopes + i * tp);
      smallProduct(rows, dp, seen, slopes, tp, 1, k, dp, dq, dp, false);
      copyRows(rows, s.D, dq, dp, factor, dqkv + first * row, row);
      smallProduct(seen, dp, rows, slopes, 1, tp, q + first * dp, dp, dk, dp, true);
      smallProduct(seen, dp, rows, probabilities, 1, tp, above + first * dp, dp, dv, dp, true);
    }
    copyRows(s.T, s.D, dk, dp, 1, dqkv + s.width(), row);
    copyRows(s.T, s.D, dv, dp, 1, dqkv + 2 * s.width(), row);
  }

  // Turns one row of scores into probabilities and of dP into dS.
  static void slope(int64_t n, int64_t padded, float logSum, float* scores, float* slopes) {
    Vec sum = {};
    for (int64_t j = 0; j < padded; j += WIDTH) {
      const Vec value = firstLanes(n - j, exponential(load(scores + j) - logSum), Vec{});
      store(scores + j, value);
      sum += value * load(slopes + j);
    }
    const float along = total(sum);
    for (int64_t j = 0; j < padded; j += WIDTH) store(slopes + j, load(scores + j) * (load(slopes + j) - along));
  }
};

struct Shape {
  int64_t heads, length;
  explicit Shape(const Attributes& attributes) : heads(attributes.integer("heads")), length(attributes.integer("length")) {}
  bool fits(const Tensor& qkv) const {
    return qkv.rank() == 2 && qkv.size(1) % (3 * heads) == 0 && qkv.size(0) % length == 0;
  }
  Sizes of(const Tensor& qkv) const { return {qkv.size(0) / length, length, heads, qkv.size(1) / (3 * heads)}; }
};

const char* const MISFIT = "qkv must be [B * length, 3 * heads * D]";

// qkv [B·T, 3·H·D] → y [B·T, H·D], logSums [B·T, H]: of each query, the logarithm of its softmax's divisor.
struct Attention {
  Shape shape;
  explicit Attention(const Attributes& attributes) : shape(attributes) {}
  void operator()(Call& call) {
    const Tensor qkv = call.input(0);
    if (!shape.fits(qkv)) return call.refuse(MISFIT);
    const Sizes s = shape.of(qkv);
    const Tensor y = call.output(0, {s.B * s.T, s.width()}), logSums = call.output(1, {s.B * s.T, s.H});
    parallel(s.units(), s.least(), [&](int64_t from, int64_t to) {
      Forward forward(s);
      for (int64_t unit = from; unit < to; unit++) {
        const int64_t token = unit / s.H * s.T, head = unit % s.H;
        forward.run(qkv.floats() + token * 3 * s.width() + head * s.D, y.floats() + token * s.width() + head * s.D,
                    logSums.floats() + token * s.H + head);
      }
    });
  }
};

// dy [B·T, H·D], qkv, logSums → dqkv.
struct AttentionGradient {
  Shape shape;
  explicit AttentionGradient(const Attributes& attributes) : shape(attributes) {}
  void operator()(Call& call) {
    const Tensor dy = call.input(0), qkv = call.input(1), logSums = call.input(2);
    if (!shape.fits(qkv) || 3 * dy.count() != qkv.count()) return call.refuse(MISFIT);
    const Sizes s = shape.of(qkv);
    const Tensor dqkv = call.output(0, {s.B * s.T, 3 * s.width()});
    parallel(s.units(), s.least(), [&](int64_t from, int64_t to) {
      Backward backward(s);
      for (int64_t unit = from; unit < to; unit++) {
        const int64_t token = unit / s.H * s.T, head = unit % s.H, at = token * 3 * s.width() + head * s.D;
        backward.run(dy.floats() + token * s.width() + head * s.D, qkv.floats() + at,
                     logSums.floats() + token * s.H + head, dqkv.floats() + at);
      }
    });
  }
};

const std::vector<const char*> SHAPE = {"heads: int", "length: int"};
const Registered<Attention> attention(
    {"AlignsaeAttention", {"qkv: float"}, {"y: float", "log_sums: float"}, SHAPE, false});
const Registered<AttentionGradient> attentionGradient(
    {"AlignsaeAttentionGradient", {"dy: float", "qkv: float", "log_sums: float"}, {"dqkv: float"}, SHAPE, false});

}  // namespace
}  // namespace alignsae
