#include "sparse.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "parallel.h"
#include "rows.h"

namespace alignsae {
namespace {

// Above this share of entries a dense product is faster: it spends a cycle on 16 of them, this some on each.
constexpr double WORTHWHILE = 0.1;

int64_t countEntries(const float* data, int64_t count) {
  int64_t entries = 0;
  for (int64_t i = 0; i < count; i++) entries += data[i] != 0;
  return entries;
}

// Whether any of sixteen values is not 0.
bool anyIn(const float* data) {
  uint32_t bits[WIDTH], all = 0;
  std::memcpy(bits, data, sizeof bits);
  for (uint32_t each : bits) all |= each << 1;  // Without the sign: −0 is 0 too.
  return all != 0;
}

// y += factor · x.
inline void addScaled(int64_t n, float factor, const float* x, float* y) {
  const Vec by = all(factor);
  int64_t i = 0;
  for (; i + WIDTH <= n; i += WIDTH) store(y + i, load(y + i) + by * load(x + i));
  for (; i < n; i++) y[i] += factor * x[i];
}

}  // namespace

Sparse::Sparse(const float* data, int64_t rows, int64_t columns, int64_t checked)
    : rows_(rows), columns_(columns), begin_(rows + 1) {
  checked = std::min(checked, columns);
  const int64_t least = unitsIn(1 << 16, columns);
  const int64_t most = int64_t(WORTHWHILE * double(rows) * double(columns));
  // Of a dense matrix a tenth is looked at.
  std::atomic<int64_t> found{0};
  parallel(rows, least, [&](int64_t from, int64_t to) {
    for (int64_t i = from; i < to && found.load(std::memory_order_relaxed) <= most; i++) {
      begin_[i + 1] = countEntries(data + i * columns, checked) + columns - checked;
      found.fetch_add(begin_[i + 1], std::memory_order_relaxed);
    }
  });
  worthwhile_ = found <= most;
  if (!worthwhile_) return;
  for (int64_t i = 0; i < rows; i++) begin_[i + 1] += begin_[i];
  entries_.resize(begin_[rows]);
  parallel(rows, least, [&](int64_t from, int64_t to) {
    for (int64_t i = from; i < to; i++) {
      const float* row = data + i * columns;
      Entry* entry = entries_.data() + begin_[i];
      int64_t j = 0;
      for (; j + WIDTH <= checked; j += WIDTH)
        if (anyIn(row + j))
          for (int64_t l = j; l < j + WIDTH; l++)
            if (row[l] != 0) *entry++ = {int32_t(l), row[l]};
      for (; j < columns; j++)
        if (row[j] != 0 || j >= checked) *entry++ = {int32_t(j), row[j]};
    }
  });
}

Sparse::Sparse(const float* values, const int32_t* at, int64_t rows, int64_t width, int64_t columns)
    : rows_(rows), columns_(columns), begin_(rows + 1) {
  entries_.reserve(rows * width);
  for (int64_t i = 0; i < rows; i++) {
    for (int64_t e = i * width; e < (i + 1) * width; e++)
      if (at[e] >= 0) entries_.push_back({at[e], values[e]});
    begin_[i + 1] = int64_t(entries_.size());
  }
}

void Sparse::multiply(const float* weight, int64_t N, const float* bias, float* y) const {
  parallel(rows_, 1, [&](int64_t from, int64_t to) {
    for (int64_t i = from; i < to; i++) {
      float* row = y + i * N;
      std::memcpy(row, bias, N * sizeof(float));
      for (int64_t e = begin_[i]; e < begin_[i + 1]; e++)
        addScaled(N, entries_[e].value, weight + entries_[e].at * N, row);
    }
  });
}

void Sparse::dot(const float* dy, const float* weight, int64_t N, float* dx) const {
  parallel(rows_, 1, [&](int64_t from, int64_t to) {
    std::memset(dx + from * columns_, 0, (to - from) * columns_ * sizeof(float));
    for (int64_t i = from; i < to; i++)
      for (int64_t e = begin_[i]; e < begin_[i + 1]; e++) {
        const int64_t j = entries_[e].at;
        dx[i * columns_ + j] = dotProduct(N, dy + i * N, weight + j * N);
      }
  });
}

std::vector<int64_t> Sparse::byColumn(std::vector<Entry>& entries) const {
  std::vector<int64_t> begin(columns_ + 1), next;
  for (const Entry& entry : entries_) begin[entry.at + 1]++;
  for (int64_t j = 0; j < columns_; j++) begin[j + 1] += begin[j];
  next = begin;
  entries.resize(entries_.size());
  for (int64_t i = 0; i < rows_; i++)
    for (int64_t e = begin_[i]; e < begin_[i + 1]; e++)
      entries[next[entries_[e].at]++] = {int32_t(i), entries_[e].value};
  return begin;
}

template <class Each>
void Sparse::eachRow(const float* dy, int64_t N, const Each& each) const {
  std::vector<Entry> entries;
  const std::vector<int64_t> begin = byColumn(entries);
  parallel(columns_, 1 + (1 << 15) / N, [&](int64_t from, int64_t to) {
    std::vector<float> sum(N);
    for (int64_t j = from; j < to; j++) {
      std::fill(sum.begin(), sum.end(), 0.0f);
      for (int64_t e = begin[j]; e < begin[j + 1]; e++) addScaled(N, entries[e].value, dy + entries[e].at * N, sum.data());
      each(j, sum.data());
    }
  });
}

template <class Each>
void Sparse::eachColumn(const float* x, int64_t K, const Each& each) const {
  std::vector<Entry> entries;
  const std::vector<int64_t> begin = byColumn(entries);
  const int64_t groups = (K + WIDTH - 1) / WIDTH;
  parallel(groups, 1, [&](int64_t first, int64_t last) {
    // Columns without an entry stay 0 from group to group.
    std::vector<float> sum(WIDTH * columns_);
    for (int64_t group = first; group < last; group++) {
      const int64_t from = group * WIDTH, rows = std::min<int64_t>(WIDTH, K - from);
      for (int64_t j = 0; j < columns_; j++) {
        if (begin[j] == begin[j + 1]) continue;
        float lanes[WIDTH] = {};
        for (int64_t e = begin[j]; e < begin[j + 1]; e++)
          addScaled(rows, entries[e].value, x + entries[e].at * K + from, lanes);
        for (int64_t r = 0; r < rows; r++) sum[r * columns_ + j] = lanes[r];
      }
      for (int64_t r = 0; r < rows; r++) each(from + r, sum.data() + r * columns_);
    }
  });
}

void Sparse::multiplyRows(const float* dy, int64_t N, float* product) const {
  eachRow(dy, N, [&](int64_t j, const float* row) { std::memcpy(product + j * N, row, N * sizeof(float)); });
}

void Sparse::multiplyColumns(const float* x, int64_t K, float* product) const {
  eachColumn(x, K, [&](int64_t i, const float* row) {
    std::memcpy(product + i * columns_, row, columns_ * sizeof(float));
  });
}

void Sparse::updateRows(const float* dy, int64_t N, const AdamW& adam, float* W, float* m, float* v) const {
  const Updater updater(adam);
  eachRow(dy, N, [&](int64_t j, const float* row) { updater.run(N, row, 1, W + j * N, m + j * N, v + j * N); });
}

void Sparse::updateColumns(const float* x, int64_t K, const AdamW& adam, float* W, float* m, float* v) const {
  const Updater updater(adam);
  eachColumn(x, K, [&](int64_t i, const float* row) {
    updater.run(columns_, row, 1, W + i * columns_, m + i * columns_, v + i * columns_);
  });
}

void silence(const float* x, int64_t rows, int64_t columns, int64_t active, float* dx) {
  parallel(rows, unitsIn(1 << 16, columns), [&](int64_t from, int64_t to) {
    for (int64_t i = from; i < to; i++)
      for (int64_t j = i * columns; j < i * columns + active; j++) dx[j] = x[j] != 0 ? dx[j] : 0;
  });
}

}  // namespace alignsae
