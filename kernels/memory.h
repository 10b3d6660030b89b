// Memory that begins on a cache line and is freed with its owner.
#pragma once
#include <cstdint>
#include <cstdlib>
#include <memory>

namespace alignsae {

struct Free {
  void operator()(float* data) const { std::free(data); }
};
using Buffer = std::unique_ptr<float[], Free>;

inline Buffer allocate(int64_t floats) {
  return Buffer(static_cast<float*>(std::aligned_alloc(64, (floats * sizeof(float) + 63) / 64 * 64)));
}

}  // namespace alignsae
