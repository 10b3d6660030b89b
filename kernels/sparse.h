// Products with a matrix that is zero nearly everywhere, as activations of a sparse autoencoder are.
#pragma once
#include <cstdint>
#include <vector>

#include "gemm.h"

namespace alignsae {

// Where a dense matrix [rows, columns] is not zero.
class Sparse {
 public:
  // Columns from `checked` on count as not zero anywhere.
  Sparse(const float* data, int64_t rows, int64_t columns, int64_t checked = INT64_MAX);

  // Of lists: row i is values[i · width …] in the columns at[i · width …], ascending; −1 stands for no entry.
  Sparse(const float* values, const int32_t* at, int64_t rows, int64_t width, int64_t columns);

  // Whether so little is not zero that these products are faster than dense ones.
  bool worthwhile() const { return worthwhile_; }

  // y [rows, N] = this · weight [columns, N] + bias [N].
  void multiply(const float* weight, int64_t N, const float* bias, float* y) const;

  // dx [rows, columns] = dy [rows, N] · weightᵀ, weight [columns, N], where this is not zero; 0 elsewhere.
  void dot(const float* dy, const float* weight, int64_t N, float* dx) const;

  // product [columns, N] = thisᵀ · dy, dy [rows, N].
  void multiplyRows(const float* dy, int64_t N, float* product) const;

  // product [K, columns] = xᵀ · this, x [rows, K].
  void multiplyColumns(const float* x, int64_t K, float* product) const;

  // Updates W [columns, N] by the gradient thisᵀ · dy, dy [rows, N].
  void updateRows(const float* dy, int64_t N, const AdamW& adam, float* W, float* m, float* v) const;

  // Updates W [K, columns] by the gradient xᵀ · this, x [rows, K].
  void updateColumns(const float* x, int64_t K, const AdamW& adam, float* W, float* m, float* v) const;

 private:
  struct Entry {
    int32_t at;
    float value;
  };
  // Entries by column, each with its row.
  std::vector<int64_t> byColumn(std::vector<Entry>& entries) const;
  // Rows of thisᵀ · dy, and of xᵀ · this, one after the other in several threads: `each(row, values)`.
  template <class Each>
  void eachRow(const float* dy, int64_t N, const Each& each) const;
  template <class Each>
  void eachColumn(const float* x, int64_t K, const Each& each) const;

  int64_t rows_, columns_;
  bool worthwhile_ = true;
  // Entries of row i, each with its column, are entries_[begin_[i]] … entries_[begin_[i + 1] − 1].
  std::vector<int64_t> begin_;
  std::vector<Entry> entries_;
};

// Sets dx [rows, columns] to 0 where x is 0 in its first `active` columns.
void silence(const float* x, int64_t rows, int64_t columns, int64_t active, float* dx);

}  // namespace alignsae
