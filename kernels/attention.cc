// Causal attention and its gradient, head by head, on queries, keys and values as one projection leaves them.
#include <algorithm>
#include <cmath>

#include "memory.h"
#include "op.h"
#include "parallel.h"
#include "rows.h"
#include "smallProduct.h"
#include "turn.h"

namespace alignsae {
namespace {

// Queries whose scores are computed together; of keys, they see those up to the last of them.
constexpr int64_t STRIP = 16;
// Multiply-adds that a thread has at least.
constexpr int64_t LEAST = 1 << 17;

int64_t inVectors(int64_t n) { return (n + WIDTH - 1) / WIDTH * WIDTH; }

// Zeroed memory that is cut into matrices, each in whole vectors.
class Scratch {
 public:
  explicit Scratch(int64_t floats) : memory_(allocate(floats)), next_(memory_.get()) {
    std::memset(next_, 0, floats * sizeof(float));
  }
  float* take(int64_t floats) {
    float* taken = next_;
    next_ += floats;
    return taken;
  }

 private:
  Buffer memory_;
  float* next_;
};

// N rows of sequences, the longest of which has T tokens, with H heads of D, H / G of which share keys and values; rows of
// q, k, v are (H + 2·G)·D long, rows of outputs H·D.
struct Sizes {
  int64_t N, T, H, G, D;
  // What scores are multiplied by.
  float scale;
  // How many tokens one sees, itself among them.
  int64_t window;
  int64_t width() const { return H * D; }
  int64_t row() const { return (H + 2 * G) * D; }
  // Where a group's keys and values stand in a row.
  int64_t keys(int64_t group) const { return (H + group) * D; }
  int64_t values(int64_t group) const { return (H + G + group) * D; }
  int64_t least() const { return unitsIn(LEAST, T * T * D * (H / G)); }
  // The first key that a token sees, and the vectors' beginning at or before it.
  int64_t begin(int64_t token) const { return std::max<int64_t>(0, token + 1 - window); }
  int64_t origin(int64_t token) const { return begin(token) / WIDTH * WIDTH; }
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

// Lanes of `a` that stand within [begin, end) of a row whose lane 0 is at j, elsewhere those of `b`.
inline Vec within(int64_t begin, int64_t end, int64_t j, Vec a, Vec b) {
  const Vec seen = firstLanes(end - j, a, b);
  return begin <= j ? seen : firstLanes(begin - j, b, seen);
}

// Scores become probabilities over [begin, n), 0 elsewhere in [origin, padded); returns the logarithm of their divisor.
float softmax(int64_t origin, int64_t begin, int64_t n, int64_t padded, float* scores) {
  Vec most = all(-INFINITY);
  for (int64_t j = origin; j < n; j += WIDTH) most = larger(most, within(begin, n, j, load(scores + j), all(-INFINITY)));
  const float max = largest(most);
  Vec sum = {};
  for (int64_t j = origin; j < padded; j += WIDTH) {
    const Vec value = within(begin, n, j, exponential(load(scores + j) - max), Vec{});
    sum += value;
    store(scores + j, value);
  }
  const float divisor = total(sum), share = 1 / divisor;
  for (int64_t j = origin; j < n; j += WIDTH) store(scores + j, load(scores + j) * share);
  return max + std::log(divisor);
}

// What a unit, the heads of one sequence that share keys and values, computes with.
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

  // Of T tokens; `from` and `output` are the sequence's first rows; `logSums` has H columns.
  void run(int64_t T, int64_t group, const float* from, float* output, float* logSums) {
    turn(T, s.D, from + s.keys(group), s.row(), keys, s.along());
    copyRows(T, s.D, from + s.values(group), s.row(), 1, v, s.across());
    const int64_t shared = s.H / s.G;
    for (int64_t head = group * shared; head < (group + 1) * shared; head++)
      attend(T, from + head * s.D, output + head * s.D, logSums + head);
  }

  void attend(int64_t T, const float* from, float* output, float* logSums) {
    const int64_t dp = s.across(), tp = s.along();
    copyRows(T, s.D, from, s.row(), s.scale, q, dp);
    for (int64_t first = 0; first < T; first += STRIP) {
      const int64_t rows = std::min(STRIP, T - first), seen = first + rows, padded = inVectors(seen);
      const int64_t o = s.origin(first);
      smallProduct(rows, padded - o, s.D, q + first * dp, dp, 1, keys + o, tp, scores + o, tp, false);
      for (int64_t i = 0; i < rows; i++)
        logSums[(first + i) * s.H] = softmax(o, s.begin(first + i), first + i + 1, padded, scores + i * tp);
      smallProduct(rows, dp, seen - o, scores + o, tp, 1, v + o * dp, dp, mixed, dp, false);
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

  // Of T tokens; `dy`, `from` and `dqkv` are the sequence's first rows.
  void run(int64_t T, int64_t group, const float* dy, const float* from, const float* logSums, float* dqkv) {
    const int64_t row = s.row(), dp = s.across(), tp = s.along(), shared = s.H / s.G;
    copyRows(T, s.D, from + s.keys(group), row, 1, k, dp);
    turn(T, s.D, from + s.keys(group), row, keys, tp);
    turn(T, s.D, from + s.values(group), row, values, tp);
    std::memset(dk, 0, T * dp * sizeof(float));
    std::memset(dv, 0, T * dp * sizeof(float));
    for (int64_t head = group * shared; head < (group + 1) * shared; head++)
      differentiate(T, dy + head * s.D, from + head * s.D, logSums + head, dqkv + head * s.D);
    copyRows(T, s.D, dk, dp, 1, dqkv + s.keys(group), row);
    copyRows(T, s.D, dv, dp, 1, dqkv + s.values(group), row);
  }

  // Writes dQ of one head and adds to dK and dV.
  void differentiate(int64_t T, const float* dy, const float* from, const float* logSums, float* to) {
    const int64_t dp = s.across(), tp = s.along();
    copyRows(T, s.D, from, s.row(), s.scale, q, dp);
    copyRows(T, s.D, dy, s.width(), 1, above, dp);
    for (int64_t first = 0; first < T; first += STRIP) {
      const int64_t rows = std::min(STRIP, T - first), seen = first + rows, padded = inVectors(seen);
      const int64_t o = s.origin(first);
      smallProduct(rows, padded - o, s.D, q + first * dp, dp, 1, keys + o, tp, probabilities + o, tp, false);
      smallProduct(rows, padded - o, s.D, above + first * dp, dp, 1, values + o, tp, slopes + o, tp, false);
      for (int64_t i = 0; i < rows; i++)
        slope(o, s.begin(first + i), first + i + 1, padded, logSums[(first + i) * s.H], probabilities + i * tp,
              slopes + i * tp);
      smallProduct(rows, dp, seen - o, slopes + o, tp, 1, k + o * dp, dp, dq, dp, false);
      copyRows(rows, s.D, dq, dp, s.scale, to + first * s.row(), s.row());
      smallProduct(seen - o, dp, rows, slopes + o, 1, tp, q + first * dp, dp, dk + o * dp, dp, true);
      smallProduct(seen - o, dp, rows, probabilities + o, 1, tp, above + first * dp, dp, dv + o * dp, dp, true);
    }
  }

  // Turns one row of scores into probabilities and of dP into dS.
  static void slope(int64_t origin, int64_t begin, int64_t n, int64_t padded, float logSum, float* scores, float* slopes) {
    Vec sum = {};
    for (int64_t j = origin; j < padded; j += WIDTH) {
      const Vec value = within(begin, n, j, exponential(load(scores + j) - logSum), Vec{});
      store(scores + j, value);
      sum += value * load(slopes + j);
    }
    const float along = total(sum);
    for (int64_t j = origin; j < padded; j += WIDTH) store(slopes + j, load(scores + j) * (load(slopes + j) - along));
  }
};

struct Shape {
  int64_t heads, shared, window;
  float scale;
  explicit Shape(const Attributes& attributes)
      : heads(attributes.integer("heads")),
        shared(attributes.integer("key_value_heads")),
        window(attributes.integer("window")),
        scale(attributes.real("scale")) {}
  // Whether rows and sequences are what they must be.
  bool fits(const Tensor& qkv, const Tensor& ends) const {
    if (window <= 0 || shared <= 0 || heads % shared != 0) return false;
    if (qkv.rank() != 2 || qkv.size(1) % (heads + 2 * shared) != 0 || ends.rank() != 1) return false;
    int64_t end = 0;
    for (int64_t b = 0; b < ends.size(0); end = ends.ints()[b++])
      if (ends.ints()[b] < end) return false;
    return end <= qkv.size(0);
  }
  Sizes of(const Tensor& qkv, const Tensor& ends) const {
    int64_t longest = 0;
    for (int64_t b = 0, end = 0; b < ends.size(0); end = ends.ints()[b++])
      longest = std::max(longest, ends.ints()[b] - end);
    return {qkv.size(0), longest, heads, shared, qkv.size(1) / (heads + 2 * shared), scale, window};
  }
};

const char* const MISFIT = "qkv must be [rows, (heads + 2 * key_value_heads) * D], and ends rise up to rows";

// Calls `run(computing, T, group, first)` for the groups of all sequences, which are T rows from `first` on.
template <typename Computing, typename Run>
void eachGroup(const Sizes& s, const Tensor& ends, Run run) {
  parallel(ends.size(0) * s.G, s.least(), [&](int64_t from, int64_t to) {
    Computing computing(s);
    for (int64_t unit = from; unit < to; unit++) {
      const int64_t b = unit / s.G, first = b == 0 ? 0 : ends.ints()[b - 1];
      run(computing, ends.ints()[b] - first, unit % s.G, first);
    }
  });
}

// Rows behind the last sequence are 0.
void clearRest(const Tensor& ends, const Tensor& y) {
  const int64_t B = ends.size(0), used = B == 0 ? 0 : ends.ints()[B - 1];
  std::fill(y.floats() + used * y.size(1), y.floats() + y.count(), 0.0f);
}

// qkv [N, (H + 2·G)·D], ends [B] → y [N, H·D], logSums [N, H]: of each query, the logarithm of its softmax's divisor.
// Sequence b is the rows from ends[b − 1], or 0, to ends[b].
struct Attention {
  Shape shape;
  explicit Attention(const Attributes& attributes) : shape(attributes) {}
  void operator()(Call& call) {
    const Tensor qkv = call.input(0), ends = call.input(1);
    if (!shape.fits(qkv, ends)) return call.refuse(MISFIT);
    const Sizes s = shape.of(qkv, ends);
    const Tensor y = call.output(0, {s.N, s.width()}), logSums = call.output(1, {s.N, s.H});
    clearRest(ends, y);
    clearRest(ends, logSums);
    eachGroup<Forward>(s, ends, [&](Forward& forward, int64_t T, int64_t group, int64_t first) {
      forward.run(T, group, qkv.floats() + first * s.row(), y.floats() + first * s.width(), logSums.floats() + first * s.H);
    });
  }
};

// dy [N, H·D], qkv, logSums, ends → dqkv.
struct AttentionGradient {
  Shape shape;
  explicit AttentionGradient(const Attributes& attributes) : shape(attributes) {}
  void operator()(Call& call) {
    const Tensor dy = call.input(0), qkv = call.input(1), logSums = call.input(2), ends = call.input(3);
    if (!shape.fits(qkv, ends)) return call.refuse(MISFIT);
    const Sizes s = shape.of(qkv, ends);
    if (dy.size(0) != s.N || dy.size(1) != s.width() || logSums.count() != s.N * s.H) return call.refuse(MISFIT);
    const Tensor dqkv = call.output(0, {s.N, s.row()});
    clearRest(ends, dqkv);
    eachGroup<Backward>(s, ends, [&](Backward& backward, int64_t T, int64_t group, int64_t first) {
      backward.run(T, group, dy.floats() + first * s.width(), qkv.floats() + first * s.row(),
                   logSums.floats() + first * s.H, dqkv.floats() + first * s.row());
    });
  }
};

const std::vector<const char*> SHAPE = {"heads: int", "key_value_heads: int", "window: int", "scale: float"};
const Registered<Attention> attention(
    {"AlignsaeAttention", {"qkv: float", "ends: int32"}, {"y: float", "log_sums: float"}, SHAPE, false});
const Registered<AttentionGradient> attentionGradient({"AlignsaeAttentionGradient",
                                                       {"dy: float", "qkv: float", "log_sums: float", "ends: int32"},
                                                       {"dqkv: float"},
                                                       SHAPE,
                                                       false});

}  // namespace
}  // namespace alignsae
