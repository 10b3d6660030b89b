// Cross-entropy of a row's softmax with the one right class, and its gradient.
#include <cmath>
#include <limits>

#include "op.h"
#include "parallel.h"
#include "rows.h"

namespace alignsae {
namespace {

// Floats that a thread has at least.
constexpr int64_t LEAST = 1 << 14;

float largestOf(const float* x, int64_t n) {
  Vec most = all(-std::numeric_limits<float>::infinity());
  eachVector(n, [&](int64_t i, int64_t k) { most = larger(firstLanes(k, loadUpTo(x + i, k), most), most); });
  return largest(most);
}

// Σ exp(x − largest); not a number where one of x is none, or above all numbers.
float sumOfExponentials(const float* x, int64_t n, float most) {
  Vec sum = {};
  eachVector(n, [&](int64_t i, int64_t k) { sum += firstLanes(k, exponential(loadUpTo(x + i, k) - most), Vec{}); });
  return total(sum);
}

// logits [M, N], labels [M] → losses [M], statistics [M, 2]: the largest logit and 1 / Σ exp(x − largest).
struct CrossEntropy {
  explicit CrossEntropy(const Attributes&) {}
  void operator()(Call& call) {
    const Tensor logits = call.input(0), labels = call.input(1);
    if (logits.rank() != 2 || labels.rank() != 1 || labels.size(0) != logits.size(0))
      return call.refuse("logits must be a matrix with a label for every row");
    const int64_t M = logits.size(0), N = logits.size(1);
    for (int64_t i = 0; i < M; i++)
      if (labels.ints()[i] < 0 || labels.ints()[i] >= N)
        return call.refuse("label " + std::to_string(labels.ints()[i]) + " of row " + std::to_string(i) +
                           " is none of the classes 0 to " + std::to_string(N - 1));
    const Tensor losses = call.output(0, {M}), statistics = call.output(1, {M, 2});
    parallel(M, unitsIn(LEAST, N), [&](int64_t from, int64_t to) {
      for (int64_t i = from; i < to; i++) {
        const float* row = logits.floats() + i * N;
        const float most = largestOf(row, N), sum = sumOfExponentials(row, N, most);
        losses.floats()[i] = std::log(sum) - (row[labels.ints()[i]] - most);
        statistics.floats()[2 * i] = most;
        statistics.floats()[2 * i + 1] = 1 / sum;
      }
    });
  }
};

// dy [M], logits [M, N], labels [M], statistics [M, 2] → dy · (softmax − one-hot), [M, N].
struct CrossEntropyGradient {
  explicit CrossEntropyGradient(const Attributes&) {}
  void operator()(Call& call) {
    const Tensor dy = call.input(0), logits = call.input(1), labels = call.input(2), statistics = call.input(3);
    if (logits.rank() != 2 || dy.count() != logits.size(0) || labels.count() != dy.count() ||
        statistics.count() != 2 * dy.count())
      return call.refuse("dy, labels and statistics do not fit the logits");
    const int64_t M = logits.size(0), N = logits.size(1);
    const Tensor gradient = call.output(0, {M, N});
    parallel(M, unitsIn(LEAST, N), [&](int64_t from, int64_t to) {
      for (int64_t i = from; i < to; i++) {
        const float *row = logits.floats() + i * N, above = dy.floats()[i];
        const float most = statistics.floats()[2 * i], scale = above * statistics.floats()[2 * i + 1];
        float* out = gradient.floats() + i * N;
        eachVector(N, [&](int64_t j, int64_t k) {
          storeUpTo(out + j, exponential(loadUpTo(row + j, k) - most) * scale, k);
        });
        out[labels.ints()[i]] -= above;
      }
    });
  }
};

const Registered<CrossEntropy> crossEntropy({"AlignsaeCrossEntropy",
                                             {"logits: float", "labels: int32"},
                                             {"losses: float", "statistics: float"},
                                             {},
                                             false});
const Registered<CrossEntropyGradient> crossEntropyGradient({"AlignsaeCrossEntropyGradient",
                                                             {"dy: float", "logits: float", "labels: int32", "statistics: float"},
                                                             {"gradient: float"},
                                                             {},
                                                             false});

}  // namespace
}  // namespace alignsae
