// Ops about the implementations of products: which is fastest here, which is to be used, and whether each is right.
#include <time.h>

#include <algorithm>
#include <vector>

#include "implementations.h"
#include "op.h"
#include "parallel.h"

namespace alignsae {
namespace {

// A shape of each kind, in the order of `ProductShape`: M, N, K.
constexpr int64_t SHAPES[PRODUCT_SHAPES][3] = {{64, 1500, 760},  {64, 760, 2100},  {500, 760, 500},  {250, 400, 2100},
                                               {3000, 400, 250}, {400, 250, 2100}, {2000, 250, 400}, {400, 250, 2100}};
constexpr int REPETITIONS = 4;

double secondsOfThread() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return now.tv_sec + 1e-9 * now.tv_nsec;
}

struct Turned {
  bool left, right, result;
};

// The product of matrices that lie row by row, or turned.
Product productOf(int64_t M, int64_t N, int64_t K, const float* a, const float* b, const float* bias, float* c, Turned turned) {
  const View A = turned.left ? View{a, 1, M} : View{a, K, 1};
  const View B = turned.right ? View{b, 1, K} : View{b, N, 1};
  return {M, N, K, A, B, bias, c, turned.result ? 1 : N, turned.result ? M : 1};
}

// A product of a shape, its operands turned as their kind says; so is C where B is, as in a gradient.
struct Trial {
  std::vector<float> a, b, c;
  Product product;

  explicit Trial(int shape) {
    const auto [M, N, K] = SHAPES[shape];
    a.assign(M * K, 0.5f);
    b.assign(K * N, 0.5f);
    c.resize(M * N);
    const bool left = shape / 2 == LEFT_TURNED / 2, right = shape / 2 == RIGHT_TURNED / 2;
    product = productOf(M, N, K, a.data(), b.data(), nullptr, c.data(), {left, right, right});
  }

  // Billions of operations in a second of the fastest of several runs, the implementations in turn, in this thread.
  void measure(float* speeds) const {
    double best[PRODUCT_IMPLEMENTATIONS];
    std::fill_n(best, PRODUCT_IMPLEMENTATIONS, 1e9);
    for (int repetition = 0; repetition < REPETITIONS; repetition++)
      for (int i = 0; i < PRODUCT_IMPLEMENTATIONS; i++) {
        const double begin = secondsOfThread();
        multiplyAs(i, product);
        best[i] = std::min(best[i], secondsOfThread() - begin);
      }
    const double operations = 2e-9 * product.M * product.N * product.K;
    for (int i = 0; i < PRODUCT_IMPLEMENTATIONS; i++) speeds[i] = float(operations / best[i]);
  }
};

// Rows and columns of each implementation's tile and the bytes of its panels; its speed with each kind of shape.
struct MeasureProducts {
  explicit MeasureProducts(const Attributes&) {}
  void operator()(Call& call) {
    const Tensor tiles = call.output(0, {PRODUCT_IMPLEMENTATIONS, 3});
    const Tensor speeds = call.output(1, {PRODUCT_SHAPES, PRODUCT_IMPLEMENTATIONS});
    for (int i = 0; i < PRODUCT_IMPLEMENTATIONS; i++) {
      const ProductTile tile = tileOf(i);
      const float numbers[] = {float(tile.rows), float(tile.columns), float(tile.panelBytes)};
      std::copy_n(numbers, 3, tiles.floats() + 3 * i);
    }
    inThisThread([&] {
      for (int shape = 0; shape < PRODUCT_SHAPES; shape++)
        Trial(shape).measure(speeds.floats() + shape * PRODUCT_IMPLEMENTATIONS);
    });
  }
};

bool isImplementation(int64_t number) { return number >= 0 && number < PRODUCT_IMPLEMENTATIONS; }

// What products of a kind of shape are computed with from now on, in this process.
struct ChooseProduct {
  int64_t shape, implementation;
  explicit ChooseProduct(const Attributes& attributes)
      : shape(attributes.integer("shape")), implementation(attributes.integer("implementation")) {}
  void operator()(Call& call) {
    if (shape < 0 || shape >= PRODUCT_SHAPES || !isImplementation(implementation))
      return call.refuse("there is no such kind of shape or no such implementation");
    chooseProduct(int(shape), int(implementation));
  }
};

// x [M, K] · y [K, N] + bias by one implementation. With `left`, `right` or `result` set, the matrix is given or made turned,
// as [K, M], [N, K] or [N, M]; a bias of no length is none.
struct ProductBy {
  int64_t implementation;
  Turned turned;
  explicit ProductBy(const Attributes& attributes)
      : implementation(attributes.integer("implementation")),
        turned{attributes.integer("left") != 0, attributes.integer("right") != 0, attributes.integer("result") != 0} {}
  void operator()(Call& call) {
    const Tensor x = call.input(0), y = call.input(1), bias = call.input(2);
    const int64_t M = x.size(turned.left ? 1 : 0), K = x.size(turned.left ? 0 : 1), N = y.size(turned.right ? 0 : 1);
    if (!isImplementation(implementation))
      return call.refuse("there is no implementation " + std::to_string(implementation));
    const Tensor z = turned.result ? call.output(0, {N, M}) : call.output(0, {M, N});
    const float* added = bias.count() > 0 ? bias.floats() : nullptr;
    multiplyAs(int(implementation), productOf(M, N, K, x.floats(), y.floats(), added, z.floats(), turned));
  }
};

const Registered<MeasureProducts> measure({"AlignsaeMeasureProducts", {}, {"tiles: float", "speeds: float"}, {}, true});
const Registered<ChooseProduct> choose(
    {"AlignsaeChooseProduct", {}, {}, {"shape: int", "implementation: int"}, true});
const Registered<ProductBy> productBy({"AlignsaeProductBy",
                                       {"x: float", "y: float", "bias: float"},
                                       {"z: float"},
                                       {"implementation: int", "left: int", "right: int", "result: int"},
                                       false});

}  // namespace
}  // namespace alignsae
