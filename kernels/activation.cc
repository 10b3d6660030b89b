// Activations that keep few latents, and the gradient they share.
#include <algorithm>
#include <cstring>
#include <limits>

#include "op.h"
#include "parallel.h"
#include "vector.h"

namespace alignsae {
namespace {

struct Kept {
  float value;
  int64_t at;
};

// Whether a goes before b: it is smaller, or as large and further right.
bool before(const Kept& a, const Kept& b) { return a.value != b.value ? a.value > b.value : a.at < b.at; }

// The k largest of a row that are above 0, of equal ones the leftmost; the others become 0.
void keepLargest(const float* row, int64_t n, int64_t k, std::vector<Kept>& heap, float* to) {
  std::memset(to, 0, n * sizeof(float));
  heap.clear();
  float least = 0;  // What a value must exceed.
  for (int64_t j = 0; j < n; j++) {
    if (!(row[j] > least)) continue;
    if (int64_t(heap.size()) == k) {
      std::pop_heap(heap.begin(), heap.end(), before);
      heap.pop_back();
    }
    heap.push_back({row[j], j});
    std::push_heap(heap.begin(), heap.end(), before);
    if (int64_t(heap.size()) == k) least = heap.front().value;
  }
  for (const Kept& kept : heap) to[kept.at] = kept.value;
}

// x [rows, n] → the k largest of each row that are above 0.
struct TopK {
  int64_t k;
  explicit TopK(const Attributes& attributes) : k(attributes.integer("k")) {}
  void operator()(Call& call) {
    const Tensor x = call.input(0);
    if (x.rank() != 2 || k < 1) return call.refuse("top-k needs rows and a k of at least 1");
    const int64_t rows = x.size(0), n = x.size(1);
    const Tensor y = call.output(0, {rows, n});
    parallel(rows, 1 + (1 << 16) / std::max<int64_t>(1, n), [&](int64_t from, int64_t to) {
      std::vector<Kept> heap;
      for (int64_t i = from; i < to; i++) keepLargest(x.floats() + i * n, n, k, heap, y.floats() + i * n);
    });
  }
};

// dy where y is not 0, and 0 elsewhere.
struct Gate {
  explicit Gate(const Attributes&) {}
  void operator()(Call& call) {
    const Tensor dy = call.input(0), y = call.input(1);
    const int64_t rows = y.size(0), n = y.size(1);
    if (dy.count() != y.count()) return call.refuse("a gradient needs the shape of what it is of");
    const Tensor dx = call.output(0, {rows, n});
    parallel(rows * n, 1 << 16, [&](int64_t from, int64_t to) {
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
