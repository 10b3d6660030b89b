// x·W + b, its gradients, and updates by them.
#include <algorithm>

#include "gemm.h"
#include "op.h"
#include "sparse.h"

namespace alignsae {
namespace {

std::string shape(const Tensor& tensor) {
  std::string text = "[";
  for (int axis = 0; axis < tensor.rank(); axis++) text += (axis ? ", " : "") + std::to_string(tensor.size(axis));
  return text + "]";
}

// x [M, K] · weight [K, N] + bias [N].
struct Linear {
  explicit Linear(const Attributes&) {}
  void operator()(Call& call) {
    const Tensor x = call.input(0), weight = call.input(1), bias = call.input(2);
    if (x.rank() != 2 || weight.rank() != 2 || x.size(1) != weight.size(0) || bias.count() != weight.size(1))
      return call.refuse("x " + shape(x) + " · weight " + shape(weight) + " + bias " + shape(bias) + " do not fit");
    const int64_t M = x.size(0), K = x.size(1), N = weight.size(1);
    const Tensor y = call.output(0, {M, N});
    const Sparse active(x.floats(), M, K);
    if (active.worthwhile()) return active.multiply(weight.floats(), N, bias.floats(), y.floats());
    multiply(M, N, K, {x.floats(), K, 1}, {weight.floats(), N, 1}, bias.floats(), y.floats(), N, 1);
  }
};

// x [M, K] · weight [K, N], of an x that is hardly ever 0.
struct Product {
  explicit Product(const Attributes&) {}
  void operator()(Call& call) {
    const Tensor x = call.input(0), weight = call.input(1);
    if (x.rank() != 2 || weight.rank() != 2 || x.size(1) != weight.size(0))
      return call.refuse("x " + shape(x) + " · weight " + shape(weight) + " do not fit");
    const int64_t M = x.size(0), K = x.size(1), N = weight.size(1);
    const Tensor y = call.output(0, {M, N});
    multiply(M, N, K, {x.floats(), K, 1}, {weight.floats(), N, 1}, nullptr, y.floats(), N, 1);
  }
};

// dy [M, N] · weightᵀ, weight [K, N]: the gradient of x. With `active` columns, entries of the first that many columns
// are 0 wherever x is 0, for nothing would come of them.
struct LinearInput {
  int64_t active;
  explicit LinearInput(const Attributes& attributes) : active(attributes.integer("active")) {}
  void operator()(Call& call) {
    const Tensor dy = call.input(0), weight = call.input(1), x = call.input(2);
    if (dy.rank() != 2 || weight.rank() != 2 || dy.size(1) != weight.size(1))
      return call.refuse("dy " + shape(dy) + " · transposed weight " + shape(weight) + " do not fit");
    const int64_t M = dy.size(0), N = dy.size(1), K = weight.size(0);
    const Tensor dx = call.output(0, {M, K});
    if (active > 0) {
      const Sparse entries(x.floats(), M, K, active);
      if (entries.worthwhile()) return entries.dot(dy.floats(), weight.floats(), N, dx.floats());
    }
    multiply(K, M, N, {weight.floats(), N, 1}, {dy.floats(), 1, N}, nullptr, dx.floats(), 1, K);
    if (active > 0) silence(x.floats(), M, K, active, dx.floats());
  }
};

// xᵀ [M, K] · dy [M, N]: the gradient of the weight.
struct LinearWeight {
  explicit LinearWeight(const Attributes&) {}
  void operator()(Call& call) {
    const Tensor x = call.input(0), dy = call.input(1);
    if (x.rank() != 2 || dy.rank() != 2 || x.size(0) != dy.size(0))
      return call.refuse("transposed x " + shape(x) + " · dy " + shape(dy) + " do not fit");
    const int64_t M = x.size(0), K = x.size(1), N = dy.size(1);
    const Tensor gradient = call.output(0, {K, N});
    const Sparse rows(x.floats(), M, K);
    if (rows.worthwhile()) return rows.multiplyRows(dy.floats(), N, gradient.floats());
    const Sparse columns(dy.floats(), M, N);
    if (columns.worthwhile()) return columns.multiplyColumns(x.floats(), K, gradient.floats());
    multiply(K, N, M, {x.floats(), 1, K}, {dy.floats(), N, 1}, nullptr, gradient.floats(), N, 1);
  }
};

// The inputs from `index` on: rate, epsilon, decay.
AdamW readAdamW(Call& call, int index, const float* betas) {
  const Tensor rate = call.input(index), epsilon = call.input(index + 1), decay = call.input(index + 2);
  return {betas[0], betas[1], *rate.floats(), *epsilon.floats(), *decay.floats()};
}

// Overwrites weight, m and v, which are variables' own memory, by one AdamW update with the gradient of LinearWeight.
struct UpdateLinear {
  explicit UpdateLinear(const Attributes&) {}
  void operator()(Call& call) {
    const Tensor weight = call.input(0), m = call.input(1), v = call.input(2), x = call.input(3), dy = call.input(4);
    const Tensor betas = call.input(8);
    const AdamW adam = readAdamW(call, 5, betas.floats());
    const int64_t M = x.size(0), K = x.size(1), N = dy.size(1);
    if (weight.size(0) != K || weight.size(1) != N || dy.size(0) != M)
      return call.refuse("x " + shape(x) + " and dy " + shape(dy) + " do not fit the weight " + shape(weight));
    float *w = weight.floats(), *first = m.floats(), *second = v.floats();
    const Sparse rows(x.floats(), M, K);
    if (rows.worthwhile()) return rows.updateRows(dy.floats(), N, adam, w, first, second);
    const Sparse columns(dy.floats(), M, N);
    if (columns.worthwhile()) return columns.updateColumns(x.floats(), K, adam, w, first, second);
    updateByProduct(K, N, M, x.floats(), dy.floats(), adam, w, first, second);
  }
};

// The same with a gradient as it is, times `scale`.
struct Update {
  explicit Update(const Attributes&) {}
  void operator()(Call& call) {
    const Tensor weight = call.input(0), m = call.input(1), v = call.input(2), gradient = call.input(3);
    const Tensor scale = call.input(7), betas = call.input(8);
    const AdamW adam = readAdamW(call, 4, betas.floats());
    if (gradient.count() != weight.count())
      return call.refuse("gradient " + shape(gradient) + " does not fit the weight " + shape(weight));
    update(weight.count(), gradient.floats(), *scale.floats(), adam, weight.floats(), m.floats(), v.floats());
  }
};

const Registered<Linear> linear({"AlignsaeLinear", {"x: float", "weight: float", "bias: float"}, {"y: float"}, {}, false});
const Registered<Product> product({"AlignsaeProduct", {"x: float", "weight: float"}, {"y: float"}, {}, false});
const Registered<LinearInput> linearInput(
    {"AlignsaeLinearInput", {"dy: float", "weight: float", "x: float"}, {"dx: float"}, {"active: int"}, false});
const Registered<LinearWeight> linearWeight({"AlignsaeLinearWeight", {"x: float", "dy: float"}, {"gradient: float"}, {}, false});
const Registered<UpdateLinear> updateLinear({"AlignsaeUpdateLinear",
                                             {"weight: float", "m: float", "v: float", "x: float", "dy: float",
                                              "rate: float", "epsilon: float", "decay: float", "betas: float"},
                                             {},
                                             {},
                                             true});
const Registered<Update> updateAny({"AlignsaeUpdate",
                                    {"weight: float", "m: float", "v: float", "gradient: float", "rate: float",
                                     "epsilon: float", "decay: float", "scale: float", "betas: float"},
                                    {},
                                    {},
                                    true});

}  // namespace
}  // namespace alignsae
