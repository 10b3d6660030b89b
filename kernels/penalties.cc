// The terms that keep free latents sparse, apart from one another and apart from the slots, and their gradient.
#include <cmath>
#include <cstring>

#include "gemm.h"
#include "op.h"
#include "parallel.h"
#include "vector.h"

namespace alignsae {
namespace {

// Rows of a batch are few, columns many: each thread takes columns, of so many numbers at least.
int64_t leastColumns(int64_t B) { return std::max<int64_t>(64, unitsIn(1 << 15, B)); }

void centreColumns(const float* x, int64_t B, int64_t n, float* centred, float* variances) {
  parallel(n, leastColumns(B), [&](int64_t from, int64_t to) {
    std::vector<float> mean(to - from), squares(to - from);
    for (int64_t i = 0; i < B; i++)
      for (int64_t j = from; j < to; j++) mean[j - from] += x[i * n + j];
    for (float& value : mean) value /= float(B);
    for (int64_t i = 0; i < B; i++)
      for (int64_t j = from; j < to; j++) {
        const float value = x[i * n + j] - mean[j - from];
        centred[i * n + j] = value;
        squares[j - from] += value * value;
      }
    for (int64_t j = from; j < to; j++) variances[j] = squares[j - from] / float(B);
  });
}

// Σ |x| and Σ x² in pieces of fixed length, so that they do not depend on the number of threads.
template <class Term>
double sumOver(const float* x, int64_t n, Term term) {
  constexpr int64_t PIECE = 1 << 14;
  const int64_t pieces = (n + PIECE - 1) / PIECE;
  std::vector<double> sums(pieces);
  parallel(pieces, 4, [&](int64_t from, int64_t to) {
    for (int64_t p = from; p < to; p++) {
      const int64_t end = std::min(n, (p + 1) * PIECE);
      float lanes[WIDTH] = {};
      int64_t i = p * PIECE;
      for (; i + WIDTH <= end; i += WIDTH)
        for (int l = 0; l < WIDTH; l++) lanes[l] += term(x[i + l]);
      for (; i < end; i++) lanes[0] += term(x[i]);
      for (float lane : lanes) sums[p] += lane;
    }
  });
  double all = 0;
  for (double sum : sums) all += sum;
  return all;
}

double sumOfSquares(const float* x, int64_t n) {
  return sumOver(x, n, [](float value) { return value * value; });
}

double sumOfMagnitudes(const float* x, int64_t n) {
  return sumOver(x, n, [](float value) { return std::fabs(value); });
}

// free [B, n], slots [B, C], already centred → terms [3], and what their gradient needs: centred [B, n], variances [n],
// gram [B, B] = F·Fᵀ / B and cross [C, n] = Sᵀ·F / B, F being `centred`. Without `indep` that term is 0, and there is
// neither F, which the cross product of centred slots does not need, nor what is made of it.
struct Penalties {
  bool indep;
  explicit Penalties(const Attributes& attributes) : indep(attributes.integer("indep") != 0) {}
  void operator()(Call& call) {
    const Tensor free = call.input(0), slots = call.input(1);
    if (free.rank() != 2 || slots.rank() != 2 || free.size(0) != slots.size(0))
      return call.refuse("free latents and slots need as many rows");
    const int64_t B = free.size(0), n = free.size(1), C = slots.size(1);
    const int64_t rows = indep ? B : 0, columns = indep ? n : 0;
    const Tensor terms = call.output(0, {3}), centred = call.output(1, {rows, n}), variances = call.output(2, {columns});
    const Tensor gram = call.output(3, {rows, rows}), cross = call.output(4, {C, n});
    const float* F = indep ? centred.floats() : free.floats();
    // The scale of 1 / B goes with the smaller operand of each product.
    if (indep) {
      centreColumns(free.floats(), B, n, centred.floats(), variances.floats());
      multiplyByItself(B, n, F, gram.floats());
      float* products = gram.floats();
      for (int64_t i = 0; i < B * B; i++) products[i] /= float(B);
    }
    std::vector<float> scaled(slots.floats(), slots.floats() + B * C);
    for (float& value : scaled) value /= float(B);
    multiply(C, n, B, {scaled.data(), 1, C}, {F, n, 1}, nullptr, cross.floats(), n, 1);
    float* term = terms.floats();
    term[0] = float(sumOfMagnitudes(free.floats(), B * n) / double(B * n));
    term[1] = float(sumOfSquares(gram.floats(), rows * rows) - sumOfSquares(variances.floats(), columns));
    term[2] = float(sumOfSquares(cross.floats(), C * n));
  }
};

// The slope of scale · |x|.
inline float slopeOfMagnitude(float x, float scale) { return x > 0 ? scale : x < 0 ? -scale : 0; }

// The gradients of free latents and slots, given that of the three terms.
struct PenaltiesGradient {
  bool hasIndep;
  explicit PenaltiesGradient(const Attributes& attributes) : hasIndep(attributes.integer("indep") != 0) {}
  void operator()(Call& call) {
    const Tensor dTerms = call.input(0), free = call.input(1), slots = call.input(2), centred = call.input(3);
    const Tensor variances = call.input(4), gram = call.input(5), cross = call.input(6);
    const int64_t B = free.size(0), n = free.size(1), C = slots.size(1);
    const Tensor dFree = call.output(0, {B, n}), dSlots = call.output(1, {B, C});
    const float* d = dTerms.floats();
    const float sparse = d[0] / float(B * n), indep = 4 * d[1] / float(B), ortho = 2 * d[2] / float(B);
    const float *F = hasIndep ? centred.floats() : free.floats(), *S = slots.floats();
    if (hasIndep) {
      std::vector<float> scaled(gram.floats(), gram.floats() + B * B);
      for (float& value : scaled) value *= indep;
      multiply(B, n, B, {scaled.data(), B, 1}, {F, n, 1}, nullptr, dFree.floats(), n, 1);
    }
    std::vector<float> pull(S, S + B * C);
    for (float& value : pull) value *= ortho;
    parallel(n, leastColumns(B), [&](int64_t from, int64_t to) {
      for (int64_t i = 0; i < B; i++) {
        float* row = dFree.floats() + i * n;
        const float *f = free.floats() + i * n, *c = F + i * n, *v = variances.floats();
        if (hasIndep)
          for (int64_t j = from; j < to; j++) row[j] += slopeOfMagnitude(f[j], sparse) - indep * v[j] * c[j];
        else
          for (int64_t j = from; j < to; j++) row[j] = slopeOfMagnitude(f[j], sparse);
        for (int64_t k = 0; k < C; k++) {
          const float factor = pull[i * C + k], *a = cross.floats() + k * n;
          for (int64_t j = from; j < to; j++) row[j] += factor * a[j];
        }
      }
    });
    multiply(B, C, n, {F, n, 1}, {cross.floats(), 1, n}, nullptr, dSlots.floats(), C, 1);
    for (int64_t i = 0; i < B * C; i++) dSlots.floats()[i] *= ortho;
  }
};

const Registered<Penalties> penalties(
    {"AlignsaePenalties",
     {"free: float", "slots: float"},
     {"terms: float", "centred: float", "variances: float", "gram: float", "cross: float"},
     {"indep: int"},
     false});
const Registered<PenaltiesGradient> penaltiesGradient(
    {"AlignsaePenaltiesGradient",
     {"d_terms: float", "free: float", "slots: float", "centred: float", "variances: float", "gram: float", "cross: float"},
     {"d_free: float", "d_slots: float"},
     {"indep: int"},
     false});

// x → mean |x|.
struct MeanMagnitude {
  explicit MeanMagnitude(const Attributes&) {}
  void operator()(Call& call) {
    const Tensor x = call.input(0);
    *call.output(0, {}).floats() = float(sumOfMagnitudes(x.floats(), x.count()) / double(x.count()));
  }
};

struct MeanMagnitudeGradient {
  explicit MeanMagnitudeGradient(const Attributes&) {}
  void operator()(Call& call) {
    const Tensor dy = call.input(0), x = call.input(1);
    const Tensor dx = call.outputLike(0, x);
    const float scale = *dy.floats() / float(x.count());
    parallel(x.count(), 1 << 16, [&](int64_t from, int64_t to) {
      const float* value = x.floats();
      float* out = dx.floats();
      for (int64_t i = from; i < to; i++) out[i] = slopeOfMagnitude(value[i], scale);
    });
  }
};

const Registered<MeanMagnitude> meanMagnitude({"AlignsaeMeanMagnitude", {"x: float"}, {"mean: float"}, {}, false});
const Registered<MeanMagnitudeGradient> meanMagnitudeGradient(
    {"AlignsaeMeanMagnitudeGradient", {"dy: float", "x: float"}, {"dx: float"}, {}, false});

}  // namespace
}  // namespace alignsae
