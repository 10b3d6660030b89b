// The hidden layer of a gated MLP, activation(gate)·up, in one pass, and its gradients.
#include "gelu.h"
#include "op.h"
#include "parallel.h"

namespace alignsae {
namespace {

// Floats that a thread has at least.
constexpr int64_t LEAST = 1 << 14;

// An activation x·gate(x): its value and its slope.
struct Curve {
  Vec value, slope;
};

struct Silu {
  static Curve at(Vec x) {
    const Vec gate = 1.0f / (1.0f + exponential(-x));
    return {x * gate, gate + x * gate * (1.0f - gate)};
  }
};

struct GeluTanh {
  static Curve at(Vec x) {
    const Vec square = x * x, gate = geluGate(x, square);
    return {x * gate, geluSlope(x, square, gate)};
  }
};

// gate [M, N], up [M, N] → [M, N].
template <class Activation>
struct Gated {
  explicit Gated(const Attributes&) {}
  void operator()(Call& call) {
    const Tensor gate = call.input(0), up = call.input(1);
    if (gate.rank() != 2 || up.count() != gate.count()) return call.refuse("gate and up must be equal matrices");
    const Tensor output = call.output(0, {gate.size(0), gate.size(1)});
    const float *g = gate.floats(), *u = up.floats();
    float* y = output.floats();
    parallel(gate.count(), LEAST, [&](int64_t from, int64_t to) {
      eachVector(to - from, [&](int64_t i, int64_t n) {
        storeUpTo(y + from + i, Activation::at(loadUpTo(g + from + i, n)).value * loadUpTo(u + from + i, n), n);
      });
    });
  }
};

// dy, gate, up [M, N] → dGate, dUp [M, N].
template <class Activation>
struct GatedGradient {
  explicit GatedGradient(const Attributes&) {}
  void operator()(Call& call) {
    const Tensor above = call.input(0), gate = call.input(1), up = call.input(2);
    if (gate.rank() != 2 || up.count() != gate.count() || above.count() != gate.count())
      return call.refuse("dy, gate and up must be equal matrices");
    const Tensor dGate = call.output(0, {gate.size(0), gate.size(1)});
    const Tensor dUp = call.output(1, {gate.size(0), gate.size(1)});
    const float *dy = above.floats(), *g = gate.floats(), *u = up.floats();
    float *toGate = dGate.floats(), *toUp = dUp.floats();
    parallel(gate.count(), LEAST, [&](int64_t from, int64_t to) {
      eachVector(to - from, [&](int64_t i, int64_t n) {
        const int64_t at = from + i;
        const Curve curve = Activation::at(loadUpTo(g + at, n));
        const Vec slope = loadUpTo(dy + at, n);
        storeUpTo(toGate + at, slope * loadUpTo(u + at, n) * curve.slope, n);
        storeUpTo(toUp + at, slope * curve.value, n);
      });
    });
  }
};

Signature forward(const char* name) { return {name, {"gate: float", "up: float"}, {"y: float"}, {}, false}; }
Signature backward(const char* name) {
  return {name, {"dy: float", "gate: float", "up: float"}, {"d_gate: float", "d_up: float"}, {}, false};
}

const Registered<Gated<Silu>> silu(forward("AlignsaeGatedSilu"));
const Registered<GatedGradient<Silu>> siluGradient(backward("AlignsaeGatedSiluGradient"));
const Registered<Gated<GeluTanh>> gelu(forward("AlignsaeGatedGelu"));
const Registered<GatedGradient<GeluTanh>> geluGradient(backward("AlignsaeGatedGeluGradient"));

}  // namespace
}  // namespace alignsae
