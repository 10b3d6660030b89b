// Activations that keep few latents, and the gradient they share.
#include <algorithm>
#include <cstring>
#include <vector>

#include "largest.h"
#include "op.h"
#include "parallel.h"
#include "vector.h"

namespace alignsae {
namespace {

// x [rows, n] → the k largest of each row that are above 0.
struct TopK {
  int64_t k;
  explicit TopK(const Attributes& attributes) : k(attributes.integer("k")) {}
  void operator()(Call& call) {
    const Tensor x = call.input(0);
    if (x.rank() != 2 || k < 1) return call.refuse("top-k needs rows and a k of at least 1");
    const int64_t rows = x.size(0), n = x.size(1);
    const Tensor y = call.output(0, {rows, n});
    parallel(rows, unitsIn(1 << 16, n), [&](int64_t from, int64_t to) {
      std::vector<Kept> kept;
      for (int64_t i = from; i < to; i++) {
        float* row = y.floats() + i * n;
        findLargest(x.floats() + i * n, n, k, kept);
        std::memset(row, 0, n * sizeof(float));
        for (const Kept& each : kept) row[each.at] = each.value;
      }
    });
  }
};

// dy where y is not 0, and 0 elsewhere.
struct Gate {
  explicit Gate(const Attributes&) {}
  void operator()(Call& call) {
    const Tensor dy = call.input(0), y = call.input(1);
    if (dy.count() != y.count()) return call.refuse("a gradient needs the shape of what it is of");
    const Tensor dx = call.outputLike(0, y);
    parallel(y.count(), 1 << 16, [&](int64_t from, int64_t to) {
      const float *gradient = dy.floats(), *value = y.floats();
      float* out = dx.floats();
      for (int64_t i = from; i < to; i++) out[i] = value[i] != 0 ? gradient[i] : 0;
    });
  }
};

const Registered<TopK> topK({"AlignsaeTopK", {"x: float"}, {"y: float"}, {"k: int"}, false});
const Registered<Gate> gate({"AlignsaeGate", {"dy: float", "y: float"}, {"dx: float"}, {}, false});

}  // namespace
}  // namespace alignsae
