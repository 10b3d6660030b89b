// Matrix products, and the update of a matrix by one.
#pragma once
#include <cstdint>

namespace alignsae {

// A matrix in memory: element (i, j) is at data[i * row + j * column].
struct View {
  const float* data;
  int64_t row, column;
};

// Most rows of B that are summed up at once, and packed: a panel of 48 columns has 192 kB, which fit into the second-level
// cache. Sums of deeper products are added block by block.
constexpr int64_t PRODUCT_DEPTH = 1024;

// C [M, N] = A [M, K] · B [K, N] + bias [N]; bias may be null. C has strides too.
void multiply(int64_t M, int64_t N, int64_t K, View A, View B, const float* bias, float* C, int64_t rowC, int64_t columnC);

// G [M, M] = A [M, K] · Aᵀ, of which only half is computed.
void multiplyByItself(int64_t M, int64_t K, const float* A, float* G);

// The numbers of one AdamW update; `rate` and `epsilon` carry the bias corrections.
struct AdamW {
  float beta1, beta2, rate, epsilon, decay;
};

// Updates W [I, J] and its moments by the gradient Pᵀ·Q, with P [K, I] and Q [K, J], which is never in memory whole.
void updateByProduct(int64_t I, int64_t J, int64_t K, const float* P, const float* Q, const AdamW& adam, float* W,
                     float* m, float* v);

// Updates n weights and their moments by their gradient times `scale`, in this thread.
class Updater {
 public:
  explicit Updater(const AdamW& adam) : adam_(adam) {}
  void run(int64_t n, const float* gradient, float scale, float* w, float* m, float* v) const;

 private:
  AdamW adam_;
};

// The same in all threads.
void update(int64_t n, const float* gradient, float scale, const AdamW& adam, float* w, float* m, float* v);

}  // namespace alignsae
