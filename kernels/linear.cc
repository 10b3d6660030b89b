// x·W + b, its gradients, and updates by them.
#include <algorithm>

#include "adamwInputs.h"
#include "gemm.h"
#include "op.h"
#include "parallel.h"
#include "sparse.h"

namespace alignsae {
namespace {

std::string shape(const Tensor& tensor) {
  std::string text = "[";
  for (int axis = 0; axis < tensor.rank(); axis++) text += (axis ? ", " : "") + std::to_string(tensor.size(axis));
  return text + "]";
}

// A matrix [rows, columns], or `count` of them behind one another: [count, rows, columns].
struct Stack {
  explicit Stack(const Tensor& tensor) : tensor_(tensor), isStack_(tensor.rank() == 3) {
    if (tensor.rank() != 2 && !isStack_) return;
    if (isStack_) count = tensor.size(0);
    rows = tensor.size(isStack_ ? 1 : 0);
    columns = tensor.size(isStack_ ? 2 : 1);
  }
  float* at(int64_t i) const { return tensor_.floats() + i * rows * columns; }
  // Whether both are stacks of as many, or neither is.
  bool goesWith(const Stack& other) const { return rows >= 0 && isStack_ == other.isStack_ && count == other.count; }
  // An output of as many matrices.
  Tensor output(Call& call, int64_t M, int64_t N) const {
    return isStack_ ? call.output(0, {count, M, N}) : call.output(0, {M, N});
  }
  // Calls `each` for every matrix, several at a time; what it calls then stays in its thread.
  template <class Each>
  void every(const Each& each) const {
    parallel(count, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; i++) each(i);
    });
  }
  int64_t count = 1, rows = -1, columns = -1;

 private:
  const Tensor& tensor_;
  bool isStack_;
};

// x [M, K] · weight [K, N] + bias [N]; of stacks, each its own, bias [count, N].
struct Linear {
  explicit Linear(const Attributes&) {}
  void operator()(Call& call) {
    const Tensor x = call.input(0), weight = call.input(1), bias = call.input(2);
    const Stack X(x), W(weight);
    if (!X.goesWith(W) || X.columns != W.rows || bias.count() != W.count * W.columns)
      return call.refuse("x " + shape(x) + " · weight " + shape(weight) + " + bias " + shape(bias) + " do not fit");
    const int64_t M = X.rows, K = X.columns, N = W.columns;
    const Tensor y = X.output(call, M, N);
    const Stack Y(y);
    X.every([&](int64_t i) {
      const float* b = bias.floats() + i * N;
      const Sparse active(X.at(i), M, K);
      if (active.worthwhile()) return active.multiply(W.at(i), N, b, Y.at(i));
      multiply(M, N, K, {X.at(i), K, 1}, {W.at(i), N, 1}, b, Y.at(i), N, 1);
    });
  }
};

// x [M, K] · weight [K, N], of an x that is hardly ever 0; of stacks, each its own.
struct Product {
  explicit Product(const Attributes&) {}
  void operator()(Call& call) {
    const Tensor x = call.input(0), weight = call.input(1);
    const Stack X(x), W(weight);
    if (!X.goesWith(W) || X.columns != W.rows)
      return call.refuse("x " + shape(x) + " · weight " + shape(weight) + " do not fit");
    const int64_t M = X.rows, K = X.columns, N = W.columns;
    const Tensor y = X.output(call, M, N);
    const Stack Y(y);
    X.every([&](int64_t i) { multiply(M, N, K, {X.at(i), K, 1}, {W.at(i), N, 1}, nullptr, Y.at(i), N, 1); });
  }
};

// dy [M, N] · weightᵀ, weight [K, N]: the gradient of x. With `active` columns, entries of the first that many columns
// are 0 wherever x is 0, for nothing would come of them. Of stacks, each its own.
struct LinearInput {
  int64_t active;
  explicit LinearInput(const Attributes& attributes) : active(attributes.integer("active")) {}
  void operator()(Call& call) {
    const Tensor dy = call.input(0), weight = call.input(1), x = call.input(2);
    const Stack dY(dy), W(weight);
    if (!dY.goesWith(W) || dY.columns != W.columns)
      return call.refuse("dy " + shape(dy) + " · transposed weight " + shape(weight) + " do not fit");
    const int64_t M = dY.rows, N = dY.columns, K = W.rows;
    const Tensor dx = dY.output(call, M, K);
    const Stack X(x), dX(dx);
    dY.every([&](int64_t i) {
      if (active > 0) {
        const Sparse entries(X.at(i), M, K, active);
        if (entries.worthwhile()) return entries.dot(dY.at(i), W.at(i), N, dX.at(i));
      }
      // The smaller of the two is packed against the order it lies in; with few rows the result is written against it too.
      if (M >= K) multiply(M, K, N, {dY.at(i), N, 1}, {W.at(i), 1, N}, nullptr, dX.at(i), K, 1);
      else multiply(K, M, N, {W.at(i), N, 1}, {dY.at(i), 1, N}, nullptr, dX.at(i), 1, K);
      if (active > 0) silence(X.at(i), M, K, active, dX.at(i));
    });
  }
};

// xᵀ [M, K] · dy [M, N]: the gradient of the weight. Of stacks, each its own.
struct LinearWeight {
  explicit LinearWeight(const Attributes&) {}
  void operator()(Call& call) {
    const Tensor x = call.input(0), dy = call.input(1);
    const Stack X(x), dY(dy);
    if (!X.goesWith(dY) || X.rows != dY.rows)
      return call.refuse("transposed x " + shape(x) + " · dy " + shape(dy) + " do not fit");
    const int64_t M = X.rows, K = X.columns, N = dY.columns;
    const Tensor gradient = X.output(call, K, N);
    const Stack G(gradient);
    X.every([&](int64_t i) {
      const Sparse rows(X.at(i), M, K);
      if (rows.worthwhile()) return rows.multiplyRows(dY.at(i), N, G.at(i));
      const Sparse columns(dY.at(i), M, N);
      if (columns.worthwhile()) return columns.multiplyColumns(X.at(i), K, G.at(i));
      multiply(K, N, M, {X.at(i), 1, K}, {dY.at(i), N, 1}, nullptr, G.at(i), N, 1);
    });
  }
};

// Overwrites weight, m and v, which are variables' own memory, by one AdamW update with the gradient of LinearWeight.
struct UpdateLinear {
  explicit UpdateLinear(const Attributes&) {}
  void operator()(Call& call) {
    const Tensor weight = call.input(0), m = call.input(1), v = call.input(2), x = call.input(3), dy = call.input(4);
    const AdamW adam = readAdamW(call, 5);
    const Stack W(weight), first(m), second(v), X(x), dY(dy);
    const int64_t M = X.rows, K = X.columns, N = dY.columns;
    if (!W.goesWith(X) || !W.goesWith(dY) || W.rows != K || W.columns != N || dY.rows != M)
      return call.refuse("x " + shape(x) + " and dy " + shape(dy) + " do not fit the weight " + shape(weight));
    W.every([&](int64_t i) {
      float *w = W.at(i), *own = first.at(i), *squares = second.at(i);
      const Sparse rows(X.at(i), M, K);
      if (rows.worthwhile()) return rows.updateRows(dY.at(i), N, adam, w, own, squares);
      const Sparse columns(dY.at(i), M, N);
      if (columns.worthwhile()) return columns.updateColumns(X.at(i), K, adam, w, own, squares);
      updateByProduct(K, N, M, X.at(i), dY.at(i), adam, w, own, squares);
    });
  }
};

// The same with a gradient as it is, times `scale`.
struct Update {
  explicit Update(const Attributes&) {}
  void operator()(Call& call) {
    const Tensor weight = call.input(0), m = call.input(1), v = call.input(2), gradient = call.input(3);
    const AdamW adam = readAdamW(call, 4);
    const Tensor scale = call.input(8);
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
                                     "epsilon: float", "decay: float", "betas: float", "scale: float"},
                                    {},
                                    {},
                                    true});

}  // namespace
}  // namespace alignsae
