// Products with a matrix of few rows, which take as long as it takes to read the other one.
#pragma once
#include <cstdint>

#include "gemm.h"

namespace alignsae {

// As `multiply`, where A has few rows or B few columns and memory lies so that the other is read in order; returns
// false and does nothing elsewhere.
bool multiplyThin(int64_t M, int64_t N, int64_t K, View A, View B, const float* bias, float* C, int64_t rowC,
                  int64_t columnC);

}  // namespace alignsae
