// Latents of which few are not 0, as lists: of each row the values of its entries and the columns at which they stand,
// ascending; column −1 stands for no entry. Nothing as large as all latents of all rows is ever made.
#include <algorithm>
#include <string>
#include <vector>

#include "adamwInputs.h"
#include "gemm.h"
#include "largest.h"
#include "memory.h"
#include "op.h"
#include "parallel.h"
#include "rows.h"
#include "sparse.h"

namespace alignsae {
namespace {

// Rows that are multiplied together, before their largest values are found: so many that packing the weight pays.
constexpr int64_t TOGETHER = 512;

// Where entries stand: at [rows, width].
struct Places {
  explicit Places(const Tensor& at) : at(at.ints()), rows(at.size(0)), width(at.size(1)) {}
  // Whether all stand in one of `columns` columns.
  bool within(int64_t columns) const {
    return std::all_of(at, at + rows * width, [=](int32_t column) { return column >= -1 && column < columns; });
  }
  const int32_t* at;
  int64_t rows, width;
};

// Entries with their values [rows, width].
struct Lists : Places {
  Lists(const Tensor& values, const Tensor& at)
      : Places(at), values(values.floats()), fit(values.rank() == 2 && values.size(0) == rows && values.size(1) == width) {}
  Sparse over(int64_t columns) const { return Sparse(values, at, rows, width, columns); }
  bool within(int64_t columns) const { return fit && Places::within(columns); }
  const float* values;

 private:
  bool fit;
};

const char* const MISFIT = "lists of values and of columns below the matrix's own, of as many rows as it, are needed";

// Writes the entries of a row of pre-activations: the largest of the `free` first columns, then all others.
void listRow(const float* row, int64_t free, int64_t columns, int64_t k, std::vector<Kept>& kept, float* values, int32_t* at) {
  findLargest(row, free, k, kept);
  std::sort(kept.begin(), kept.end(), [](const Kept& a, const Kept& b) { return a.at < b.at; });
  const int64_t none = k - int64_t(kept.size());
  std::fill_n(values, none, 0.0f);
  std::fill_n(at, none, -1);
  values += none, at += none;
  for (const Kept& each : kept) *values++ = each.value, *at++ = int32_t(each.at);
  for (int64_t j = free; j < columns; j++) *values++ = row[j], *at++ = int32_t(j);
}

// x [rows, K] · weight [K, N] + bias [N]: lists of the k largest of the first `free` columns that are above 0, and of all
// others.
struct Encode {
  int64_t k, free;
  explicit Encode(const Attributes& attributes) : k(attributes.integer("k")), free(attributes.integer("free")) {}
  void operator()(Call& call) {
    const Tensor x = call.input(0), weight = call.input(1), bias = call.input(2);
    const int64_t rows = x.size(0), K = x.size(1), N = weight.size(1), width = k + N - free;
    if (weight.size(0) != K || bias.count() != N || k < 1 || free < 0 || free > N)
      return call.refuse("x [rows, K], weight [K, N] and bias [N] are needed, and a k of at least 1");
    const Tensor values = call.output(0, {rows, width}), at = call.intOutput(1, {rows, width});
    const int64_t parts = std::max<int64_t>(1, (rows + TOGETHER - 1) / TOGETHER), most = (rows + parts - 1) / parts;
    const Buffer pre = allocate(most * N);
    for (int64_t first = 0; first < rows; first += most) {
      const int64_t some = std::min(most, rows - first);
      multiply(some, N, K, {x.floats() + first * K, K, 1}, {weight.floats(), N, 1}, bias.floats(), pre.get(), N, 1);
      parallel(some, unitsIn(1 << 16, N), [&](int64_t from, int64_t to) {
        std::vector<Kept> kept;
        for (int64_t i = from; i < to; i++)
          listRow(pre.get() + i * N, free, N, k, kept, values.floats() + (first + i) * width, at.ints() + (first + i) * width);
      });
    }
  }
};

// What the lists stand for · weight [columns, N] + bias [N].
struct Decode {
  explicit Decode(const Attributes&) {}
  void operator()(Call& call) {
    const Tensor values = call.input(0), at = call.input(1), weight = call.input(2), bias = call.input(3);
    const Lists lists(values, at);
    const int64_t columns = weight.size(0), N = weight.size(1);
    if (!lists.within(columns) || bias.count() != N) return call.refuse(MISFIT);
    lists.over(columns).multiply(weight.floats(), N, bias.floats(), call.output(0, {lists.rows, N}).floats());
  }
};

// The gradient of the values of Decode: of each entry, dy's row · weight's; 0 where there is none.
struct Dot {
  explicit Dot(const Attributes&) {}
  void operator()(Call& call) {
    const Tensor dy = call.input(0), weight = call.input(1), at = call.input(2);
    const Places places(at);
    const int64_t N = weight.size(1);
    if (dy.size(0) != places.rows || dy.size(1) != N || !places.within(weight.size(0))) return call.refuse(MISFIT);
    const Tensor values = call.output(0, {places.rows, places.width});
    parallel(places.rows, 1, [&](int64_t from, int64_t to) {
      for (int64_t i = from; i < to; i++)
        for (int64_t e = i * places.width; e < (i + 1) * places.width; e++)
          values.floats()[e] = places.at[e] < 0 ? 0 : dotProduct(N, dy.floats() + i * N, weight.floats() + places.at[e] * N);
    });
  }
};

// What the lists stand for, turned, · dense [rows, N]: [size, N], the gradient of the weight of Decode; or, not of rows,
// dense turned · what the lists stand for: [N, size], the gradient of the weight of Encode.
template <bool ROWS>
struct Product {
  int64_t size;
  explicit Product(const Attributes& attributes) : size(attributes.integer("size")) {}
  void operator()(Call& call) {
    const Tensor values = call.input(0), at = call.input(1), dense = call.input(2);
    const Lists lists(values, at);
    const int64_t N = dense.size(1);
    if (!lists.within(size) || dense.size(0) != lists.rows) return call.refuse(MISFIT);
    const Tensor product = ROWS ? call.output(0, {size, N}) : call.output(0, {N, size});
    const Sparse entries = lists.over(size);
    if (ROWS) entries.multiplyRows(dense.floats(), N, product.floats());
    else entries.multiplyColumns(dense.floats(), N, product.floats());
  }
};

// [size]: the sums of columns of what the lists stand for.
struct Sum {
  int64_t size;
  explicit Sum(const Attributes& attributes) : size(attributes.integer("size")) {}
  void operator()(Call& call) {
    const Tensor values = call.input(0), at = call.input(1);
    const Lists lists(values, at);
    if (!lists.within(size)) return call.refuse(MISFIT);
    const Tensor sums = call.output(0, {size});
    std::fill_n(sums.floats(), size, 0.0f);
    for (int64_t e = 0; e < lists.rows * lists.width; e++)
      if (lists.at[e] >= 0) sums.floats()[lists.at[e]] += lists.values[e];
  }
};

// [rows, size]: what the lists stand for.
struct Spread {
  int64_t size;
  explicit Spread(const Attributes& attributes) : size(attributes.integer("size")) {}
  void operator()(Call& call) {
    const Tensor values = call.input(0), at = call.input(1);
    const Lists lists(values, at);
    if (!lists.within(size)) return call.refuse(MISFIT);
    const Tensor dense = call.output(0, {lists.rows, size});
    parallel(lists.rows, unitsIn(1 << 16, size), [&](int64_t from, int64_t to) {
      for (int64_t i = from; i < to; i++) {
        float* row = dense.floats() + i * size;
        std::fill_n(row, size, 0.0f);
        for (int64_t e = i * lists.width; e < (i + 1) * lists.width; e++)
          if (lists.at[e] >= 0) row[lists.at[e]] = lists.values[e];
      }
    });
  }
};

// The gradient of Spread's values: of each entry what stands there in dense [rows, size]; 0 where there is none.
struct Collect {
  explicit Collect(const Attributes&) {}
  void operator()(Call& call) {
    const Tensor dense = call.input(0), at = call.input(1);
    const Places places(at);
    const int64_t size = dense.size(1);
    if (dense.size(0) != places.rows || !places.within(size)) return call.refuse(MISFIT);
    const Tensor values = call.output(0, {places.rows, places.width});
    for (int64_t e = 0; e < places.rows * places.width; e++)
      values.floats()[e] = places.at[e] < 0 ? 0 : dense.floats()[e / places.width * size + places.at[e]];
  }
};

// Overwrites weight, m and v, which are variables' own memory, by one AdamW update with the gradient that Product makes.
template <bool ROWS>
struct Update {
  explicit Update(const Attributes&) {}
  void operator()(Call& call) {
    const Tensor weight = call.input(0), m = call.input(1), v = call.input(2);
    const Tensor values = call.input(3), at = call.input(4), dense = call.input(5);
    const AdamW adam = readAdamW(call, 6);
    const Lists lists(values, at);
    const int64_t size = weight.size(ROWS ? 0 : 1), other = weight.size(ROWS ? 1 : 0);
    if (!lists.within(size) || dense.size(0) != lists.rows || dense.size(1) != other)
      return call.refuse(MISFIT);
    const Sparse entries = lists.over(size);
    if (ROWS) entries.updateRows(dense.floats(), other, adam, weight.floats(), m.floats(), v.floats());
    else entries.updateColumns(dense.floats(), other, adam, weight.floats(), m.floats(), v.floats());
  }
};

const std::vector<const char*> UPDATE_INPUTS{"weight: float", "m: float",       "v: float",     "values: float", "at: int32",
                                             "dense: float",  "rate: float",    "epsilon: float", "decay: float",
                                             "betas: float"};

const Registered<Encode> encode({"AlignsaeEncodeEntries",
                                 {"x: float", "weight: float", "bias: float"},
                                 {"values: float", "at: int32"},
                                 {"k: int", "free: int"},
                                 false});
const Registered<Decode> decode(
    {"AlignsaeDecodeEntries", {"values: float", "at: int32", "weight: float", "bias: float"}, {"y: float"}, {}, false});
const Registered<Dot> dot({"AlignsaeDotEntries", {"dy: float", "weight: float", "at: int32"}, {"values: float"}, {}, false});
const Registered<Product<true>> rows(
    {"AlignsaeEntriesRows", {"values: float", "at: int32", "dense: float"}, {"product: float"}, {"size: int"}, false});
const Registered<Product<false>> columns(
    {"AlignsaeEntriesColumns", {"values: float", "at: int32", "dense: float"}, {"product: float"}, {"size: int"}, false});
const Registered<Sum> sum({"AlignsaeSumEntries", {"values: float", "at: int32"}, {"sums: float"}, {"size: int"}, false});
const Registered<Spread> spread({"AlignsaeSpreadEntries", {"values: float", "at: int32"}, {"dense: float"}, {"size: int"}, false});
const Registered<Collect> collect({"AlignsaeCollectEntries", {"dense: float", "at: int32"}, {"values: float"}, {}, false});
const Registered<Update<true>> updateRows({"AlignsaeUpdateEntriesRows", UPDATE_INPUTS, {}, {}, true});
const Registered<Update<false>> updateColumns({"AlignsaeUpdateEntriesColumns", UPDATE_INPUTS, {}, {}, true});

}  // namespace
}  // namespace alignsae
