// The numbers of an update as ops take them.
#pragma once
#include "gemm.h"
#include "op.h"

namespace alignsae {

// The inputs from `index` on: rate, epsilon, decay, betas [2].
inline AdamW readAdamW(Call& call, int index) {
  const Tensor rate = call.input(index), epsilon = call.input(index + 1), decay = call.input(index + 2);
  const Tensor betas = call.input(index + 3);
  return {betas.floats()[0], betas.floats()[1], *rate.floats(), *epsilon.floats(), *decay.floats()};
}

}  // namespace alignsae
