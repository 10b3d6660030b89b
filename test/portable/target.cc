// Which processor the kernels beside this op were compiled for.
#include "../../kernels/op.h"

namespace alignsae {
namespace {

// → [arm64, AVX, AVX2, AVX-512], each 0 or 1.
struct Target {
  explicit Target(const Attributes&) {}
  void operator()(Call& call) {
    const Tensor y = call.output(0, {4});
    float *to = y.floats();
    to[0] = to[1] = to[2] = to[3] = 0;
#ifdef __aarch64__
    to[0] = 1;
#endif
#ifdef __AVX__
    to[1] = 1;
#endif
#ifdef __AVX2__
    to[2] = 1;
#endif
#ifdef __AVX512F__
    to[3] = 1;
#endif
  }
};

const Registered<Target> target({"AlignsaeTarget", {}, {"y: float"}, {}, true});

}  // namespace
}  // namespace alignsae
