// Rotary positions: pairs of numbers of each head, turned by the angles of the row's position.
#include <algorithm>

#include "op.h"
#include "parallel.h"
#include "rows.h"

namespace alignsae {
namespace {

// Floats that a thread has at least.
constexpr int64_t LEAST = 1 << 14;

// Turns the first 2·half numbers of a head, the first half paired with the second; the others, up to D, stay.
void turn(int64_t D, int64_t half, const float* cosine, const float* sine, float sign, const float* x, float* y) {
  eachVector(half, [&](int64_t i, int64_t k) {
    const Vec a = loadUpTo(x + i, k), b = loadUpTo(x + half + i, k);
    const Vec c = loadUpTo(cosine + i, k), s = loadUpTo(sine + i, k) * sign;
    storeUpTo(y + i, a * c - b * s, k);
    storeUpTo(y + half + i, b * c + a * s, k);
  });
  std::copy(x + 2 * half, x + D, y + 2 * half);
}

// x [M, n·D], of whose heads the first `heads` are turned; cosine and sine [P, half], row i being at position i mod P →
// [M, n·D]. `sign` −1 turns back, which is the gradient.
struct Rotary {
  int64_t heads, D, sign;
  explicit Rotary(const Attributes& attributes)
      : heads(attributes.integer("heads")), D(attributes.integer("size")), sign(attributes.integer("sign")) {}
  void operator()(Call& call) {
    const Tensor x = call.input(0), cosine = call.input(1), sine = call.input(2);
    if (x.rank() != 2 || x.size(1) % D != 0 || heads * D > x.size(1))
      return call.refuse("x must be rows of at least so many heads");
    if (cosine.rank() != 2 || sine.count() != cosine.count() || cosine.size(0) < 1 || 2 * cosine.size(1) > D)
      return call.refuse("cosine and sine must be [positions, at most half a head]");
    const int64_t M = x.size(0), N = x.size(1), P = cosine.size(0), half = cosine.size(1);
    const Tensor y = call.output(0, {M, N});
    parallel(M, unitsIn(LEAST, N), [&](int64_t from, int64_t to) {
      for (int64_t i = from; i < to; i++) {
        const float* row = x.floats() + i * N;
        float* out = y.floats() + i * N;
        const int64_t angles = i % P * half;
        for (int64_t head = 0; head < heads; head++)
          turn(D, half, cosine.floats() + angles, sine.floats() + angles, float(sign), row + head * D, out + head * D);
        std::copy(row + heads * D, row + N, out + heads * D);
      }
    });
  }
};

const Registered<Rotary> rotary({"AlignsaeRotary",
                                 {"x: float", "cosine: float", "sine: float"},
                                 {"y: float"},
                                 {"heads: int", "size: int", "sign: int"},
                                 false});

}  // namespace
}  // namespace alignsae
