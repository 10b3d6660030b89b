// The norm of many tensors together.
#include <cmath>

#include "op.h"
#include "parallel.h"
#include "vector.h"

namespace alignsae {
namespace {

// In pieces of fixed length, so that the sum does not depend on the number of threads.
constexpr int64_t PIECE = 1 << 14;

double sumOfSquares(const float* x, int64_t n) {
  const int64_t pieces = (n + PIECE - 1) / PIECE;
  std::vector<double> sums(pieces);
  parallel(pieces, 4, [&](int64_t from, int64_t to) {
    for (int64_t p = from; p < to; p++) {
      const int64_t end = std::min(n, (p + 1) * PIECE);
      int64_t i = p * PIECE;
      Vec sum = {};
      for (; i + WIDTH <= end; i += WIDTH) sum += load(x + i) * load(x + i);
      sums[p] = total(sum);
      for (; i < end; i++) sums[p] += x[i] * x[i];
    }
  });
  double all = 0;
  for (double sum : sums) all += sum;
  return all;
}

// √Σ x² over all inputs.
struct GlobalNorm {
  int64_t count;
  explicit GlobalNorm(const Attributes& attributes) : count(attributes.integer("N")) {}
  void operator()(Call& call) {
    double sum = 0;
    for (int64_t i = 0; i < count; i++) {
      const Tensor x = call.input(int(i));
      sum += sumOfSquares(x.floats(), x.count());
    }
    *call.output(0, {}).floats() = float(std::sqrt(sum));
  }
};

const Registered<GlobalNorm> globalNorm({"AlignsaeGlobalNorm", {"tensors: N * float"}, {"norm: float"}, {"N: int"}, false});

}  // namespace
}  // namespace alignsae
