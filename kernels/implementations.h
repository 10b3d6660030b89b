// The ways to compute a product: tiles of several sizes, more or fewer packed panels at once. Which is fastest depends on the
// processor (its units, its second-level cache) and on the shape; all give the same numbers, bit by bit.
#pragma once
#include <cstdint>

#include "gemm.h"

namespace alignsae {

// C [M, N] = A [M, K] · B [K, N] + bias, as of `multiply`.
struct Product {
  int64_t M, N, K;
  View A, B;
  const float* bias;
  float* C;
  int64_t rowC, columnC;
};

constexpr int PRODUCT_IMPLEMENTATIONS = 4;

// What an implementation keeps in registers and in the second-level cache.
struct ProductTile {
  int64_t rows, columns, panelBytes;
};
ProductTile tileOf(int implementation);

// Kinds of shapes, in the order of `productShape` in src/engine/contract/products.ts; each is followed by that of deep
// products, of a K above PRODUCT_DEPTH. Turned is an operand that does not lie row by row.
enum ProductShape { FEW_ROWS_OF_A = 0, MANY_ROWS_OF_A = 2, LEFT_TURNED = 4, RIGHT_TURNED = 6 };
constexpr int PRODUCT_SHAPES = 8;
int shapeOf(const Product& product);

// What `multiply` is to use for a kind of shape from now on; the first implementation until then.
void chooseProduct(int shape, int implementation);

void multiplyAs(int implementation, const Product& product);

}  // namespace alignsae
