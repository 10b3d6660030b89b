// GPT-2's GELU and its gradient.
#include "gelu.h"
#include "op.h"
#include "parallel.h"

namespace alignsae {
namespace {

// Floats that a thread has at least.
constexpr int64_t LEAST = 1 << 14;

// x [M, N] → [M, N].
struct Gelu {
  explicit Gelu(const Attributes&) {}
  void operator()(Call& call) {
    const Tensor input = call.input(0);
    if (input.rank() != 2) return call.refuse("x must be a matrix");
    const Tensor output = call.output(0, {input.size(0), input.size(1)});
    const float* x = input.floats();
    float* y = output.floats();
    parallel(input.count(), LEAST, [&](int64_t from, int64_t to) {
      eachVector(to - from, [&](int64_t i, int64_t n) {
        const Vec value = loadUpTo(x + from + i, n);
        storeUpTo(y + from + i, value * geluGate(value, value * value), n);
      });
    });
  }
};

// Its gradient: dy [M, N], x [M, N] → [M, N].
struct GeluGradient {
  explicit GeluGradient(const Attributes&) {}
  void operator()(Call& call) {
    const Tensor above = call.input(0), input = call.input(1);
    if (input.rank() != 2 || above.count() != input.count()) return call.refuse("dy and x must be equal matrices");
    const Tensor output = call.output(0, {input.size(0), input.size(1)});
    const float *dy = above.floats(), *x = input.floats();
    float* dx = output.floats();
    parallel(input.count(), LEAST, [&](int64_t from, int64_t to) {
      eachVector(to - from, [&](int64_t i, int64_t n) {
        const Vec value = loadUpTo(x + from + i, n);
        const Vec square = value * value;
        const Vec slope = geluSlope(value, square, geluGate(value, square));
        storeUpTo(dx + from + i, loadUpTo(dy + from + i, n) * slope, n);
      });
    });
  }
};

const Registered<Gelu> gelu({"AlignsaeGelu", {"x: float"}, {"y: float"}, {}, false});
const Registered<GeluGradient> geluGradient({"AlignsaeGeluGradient", {"dy: float", "x: float"}, {"dx: float"}, {}, false});

}  // namespace
}  // namespace alignsae
