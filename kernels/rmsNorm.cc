// Root-mean-square normalisation over the rows of a matrix, and its gradients.
#include <algorithm>
#include <cmath>

#include "op.h"
#include "parallel.h"
#include "rows.h"

namespace alignsae {
namespace {

// Floats that a thread has at least.
constexpr int64_t LEAST = 1 << 14;
// Rows whose gradients of the gain are summed first, so that sums do not depend on the number of threads.
constexpr int64_t GROUP = 64;

// Writes one row and its scale, 1 / √(mean of squares + epsilon).
void normalise(int64_t n, const float* x, const float* gain, float epsilon, float* y, float* scale) {
  Vec squares = {};
  eachVector(n, [&](int64_t i, int64_t k) {
    const Vec value = loadUpTo(x + i, k);
    squares += value * value;
  });
  const float r = 1 / std::sqrt(total(squares) / n + epsilon);
  eachVector(n, [&](int64_t i, int64_t k) { storeUpTo(y + i, loadUpTo(x + i, k) * r * loadUpTo(gain + i, k), k); });
  *scale = r;
}

// x [M, N], gain [N] → y [M, N], scales [M].
struct RmsNorm {
  float epsilon;
  explicit RmsNorm(const Attributes& attributes) : epsilon(attributes.real("epsilon")) {}
  void operator()(Call& call) {
    const Tensor x = call.input(0), gain = call.input(1);
    if (x.rank() != 2 || gain.count() != x.size(1)) return call.refuse("gain must be as long as a row of x");
    const int64_t M = x.size(0), N = x.size(1);
    const Tensor y = call.output(0, {M, N}), scales = call.output(1, {M});
    parallel(M, unitsIn(LEAST, N), [&](int64_t from, int64_t to) {
      for (int64_t i = from; i < to; i++)
        normalise(N, x.floats() + i * N, gain.floats(), epsilon, y.floats() + i * N, scales.floats() + i);
    });
  }
};

// With x̂ = x·r and g = dy·gain: dx = r·(g − x̂·mean(g·x̂)); adds to dGain.
void differentiate(int64_t n, const float* dy, const float* x, float scale, const float* gain, float* dx, float* dGain) {
  Vec along = {};
  eachVector(n, [&](int64_t i, int64_t k) {
    const Vec product = loadUpTo(dy + i, k) * (loadUpTo(x + i, k) * scale);
    along += product * loadUpTo(gain + i, k);
    storeUpTo(dGain + i, loadUpTo(dGain + i, k) + product, k);
  });
  const float mean = total(along) / n;
  eachVector(n, [&](int64_t i, int64_t k) {
    const Vec g = loadUpTo(dy + i, k) * loadUpTo(gain + i, k);
    storeUpTo(dx + i, (g - loadUpTo(x + i, k) * scale * mean) * scale, k);
  });
}

// dy [M, N], x [M, N], scales [M], gain [N] → dx [M, N], dGain [N].
struct RmsNormGradient {
  explicit RmsNormGradient(const Attributes&) {}
  void operator()(Call& call) {
    const Tensor dy = call.input(0), x = call.input(1), scales = call.input(2), gain = call.input(3);
    if (x.rank() != 2 || dy.count() != x.count() || gain.count() != x.size(1) || scales.count() != x.size(0))
      return call.refuse("dy, scales and gain do not fit x");
    const int64_t M = x.size(0), N = x.size(1), groups = (M + GROUP - 1) / GROUP;
    const Tensor dx = call.output(0, {M, N}), dGain = call.output(1, {N});
    std::vector<float> sums(groups * N);
    parallel(groups, unitsIn(LEAST, GROUP * N), [&](int64_t first, int64_t last) {
      for (int64_t i = first * GROUP; i < std::min(M, last * GROUP); i++)
        differentiate(N, dy.floats() + i * N, x.floats() + i * N, scales.floats()[i], gain.floats(), dx.floats() + i * N,
                      sums.data() + i / GROUP * N);
    });
    std::fill_n(dGain.floats(), N, 0.0f);
    for (int64_t group = 0; group < groups; group++)
      for (int64_t j = 0; j < N; j++) dGain.floats()[j] += sums[group * N + j];
  }
};

const Registered<RmsNorm> rmsNorm(
    {"AlignsaeRmsNorm", {"x: float", "gain: float"}, {"y: float", "scales: float"}, {"epsilon: float"}, false});
const Registered<RmsNormGradient> rmsNormGradient({"AlignsaeRmsNormGradient",
                                                   {"dy: float", "x: float", "scales: float", "gain: float"},
                                                   {"dx: float", "d_gain: float"},
                                                   {},
                                                   false});

}  // namespace
}  // namespace alignsae
