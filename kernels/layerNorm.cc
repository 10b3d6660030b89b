// Layer normalisation over the rows of a matrix, and its gradients.
#include <algorithm>
#include <cmath>

#include "op.h"
#include "parallel.h"
#include "rows.h"

namespace alignsae {
namespace {

// Floats that a thread has at least.
constexpr int64_t LEAST = 1 << 14;
// Rows whose gradients of gain and bias are summed first, so that sums do not depend on the number of threads.
constexpr int64_t GROUP = 64;

// Writes one row and its statistics: mean and 1 / √(variance + epsilon).
void normalise(int64_t n, const float* x, const float* gain, const float* bias, float epsilon, float* y, float* statistics) {
  Vec sum = {}, squares = {};
  eachVector(n, [&](int64_t i, int64_t k) { sum += loadUpTo(x + i, k); });
  const float mean = total(sum) / n;
  eachVector(n, [&](int64_t i, int64_t k) {
    const Vec centred = firstLanes(k, loadUpTo(x + i, k) - mean, Vec{});
    squares += centred * centred;
  });
  const float scale = 1 / std::sqrt(total(squares) / n + epsilon);
  eachVector(n, [&](int64_t i, int64_t k) {
    const Vec normal = (loadUpTo(x + i, k) - mean) * scale;
    storeUpTo(y + i, normal * loadUpTo(gain + i, k) + loadUpTo(bias + i, k), k);
  });
  statistics[0] = mean;
  statistics[1] = scale;
}

// x [M, N], gain [N], bias [N] → y [M, N], statistics [M, 2].
struct LayerNorm {
  explicit LayerNorm(const Attributes&) {}
  void operator()(Call& call) {
    const Tensor x = call.input(0), gain = call.input(1), bias = call.input(2), epsilon = call.input(3);
    if (x.rank() != 2 || gain.count() != x.size(1) || bias.count() != x.size(1))
      return call.refuse("gain and bias must be as long as a row of x");
    const int64_t M = x.size(0), N = x.size(1);
    const Tensor y = call.output(0, {M, N}), statistics = call.output(1, {M, 2});
    parallel(M, unitsIn(LEAST, N), [&](int64_t from, int64_t to) {
      for (int64_t i = from; i < to; i++)
        normalise(N, x.floats() + i * N, gain.floats(), bias.floats(), *epsilon.floats(), y.floats() + i * N,
                  statistics.floats() + i * 2);
    });
  }
};

// With x̂ = (x − μ)·r and g = dy·gain: dx = r·(g − mean(g) − x̂·mean(g·x̂)); adds to dGain and dBias.
void differentiate(int64_t n, const float* dy, const float* x, const float* statistics, const float* gain, float* dx,
                   float* dGain, float* dBias) {
  const float mean = statistics[0], scale = statistics[1];
  Vec sum = {}, along = {};
  eachVector(n, [&](int64_t i, int64_t k) {
    const Vec above = loadUpTo(dy + i, k), normal = (loadUpTo(x + i, k) - mean) * scale;
    const Vec g = above * loadUpTo(gain + i, k);
    sum += g;
    along += g * normal;
    storeUpTo(dGain + i, loadUpTo(dGain + i, k) + above * normal, k);
    storeUpTo(dBias + i, loadUpTo(dBias + i, k) + above, k);
  });
  const float meanG = total(sum) / n, meanAlong = total(along) / n;
  eachVector(n, [&](int64_t i, int64_t k) {
    const Vec normal = (loadUpTo(x + i, k) - mean) * scale;
    const Vec g = loadUpTo(dy + i, k) * loadUpTo(gain + i, k);
    storeUpTo(dx + i, (g - meanG - normal * meanAlong) * scale, k);
  });
}

// dy [M, N], x [M, N], statistics [M, 2], gain [N] → dx [M, N], dGain [N], dBias [N].
struct LayerNormGradient {
  explicit LayerNormGradient(const Attributes&) {}
  void operator()(Call& call) {
    const Tensor dy = call.input(0), x = call.input(1), statistics = call.input(2), gain = call.input(3);
    if (x.rank() != 2 || dy.count() != x.count() || gain.count() != x.size(1) || statistics.count() != 2 * x.size(0))
      return call.refuse("dy, statistics and gain do not fit x");
    const int64_t M = x.size(0), N = x.size(1), groups = (M + GROUP - 1) / GROUP;
    const Tensor dx = call.output(0, {M, N}), dGain = call.output(1, {N}), dBias = call.output(2, {N});
    std::vector<float> sums(groups * 2 * N);
    parallel(groups, unitsIn(LEAST, GROUP * N), [&](int64_t first, int64_t last) {
      for (int64_t i = first * GROUP; i < std::min(M, last * GROUP); i++) {
        float* own = sums.data() + i / GROUP * 2 * N;
        differentiate(N, dy.floats() + i * N, x.floats() + i * N, statistics.floats() + i * 2, gain.floats(),
                      dx.floats() + i * N, own, own + N);
      }
    });
    for (int64_t j = 0; j < N; j++) {
      float ofGain = 0, ofBias = 0;
      for (int64_t group = 0; group < groups; group++) {
        ofGain += sums[group * 2 * N + j];
        ofBias += sums[group * 2 * N + N + j];
      }
      dGain.floats()[j] = ofGain;
      dBias.floats()[j] = ofBias;
    }
  }
};

const Registered<LayerNorm> layerNorm({"AlignsaeLayerNorm",
                                       {"x: float", "gain: float", "bias: float", "epsilon: float"},
                                       {"y: float", "statistics: float"},
                                       {},
                                       false});
const Registered<LayerNormGradient> layerNormGradient({"AlignsaeLayerNormGradient",
                                                       {"dy: float", "x: float", "statistics: float", "gain: float"},
                                                       {"dx: float", "d_gain: float", "d_bias: float"},
                                                       {},
                                                       false});

}  // namespace
}  // namespace alignsae
