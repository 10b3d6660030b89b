#include "gemm.h"

#include <algorithm>
#include <array>
#include <atomic>

#include "implementations.h"
#include "parallel.h"
#include "thin.h"
#include "tile.h"
#include "vector.h"

namespace alignsae {
namespace {

// Floats of A that are worked on together: 256 kB.
constexpr int64_t CHUNK = 64 * 1024;
// With no more rows than these, packing B would cost as much as it saves.
constexpr int64_t FEW_ROWS = 32;

// Fetches a tile of C, to be written: its rows lie far apart.
void fetchTile(const Target& C, int64_t i, int rows, int64_t j, int64_t columns) {
  if (C.column != 1) return;
  for (int r = 0; r < rows; r++)
    for (int64_t c = 0; c < columns; c += WIDTH) __builtin_prefetch(C.data + (i + r) * C.row + j + c, 1, 3);
}

// What all tiles of a block have in common: B's rows [k, k + K) and A's columns.
template <class T>
struct Block {
  static constexpr int ROWS = T::ROWS, COLUMNS = T::COLUMNS;
  View A, B;
  const Target& C;
  int64_t N, k, K;
  // Floats of B's packed panels that are worked on together, which the second-level cache holds beside those of A.
  int64_t panels;

  // Rows [from, to) and panels [first, last).
  void multiply(int64_t from, int64_t to, int64_t first, int64_t last) const {
    if (to - from <= FEW_ROWS && B.column == 1) runFewRows(from, to, first, last);
    else runManyRows(from, to, first, last);
  }

 private:
  // Rows [from, to) of the panel from column j on.
  void run(int64_t from, int64_t to, int64_t j, Panel panel) const {
    typename T::Sums acc;
    const int64_t columns = std::min<int64_t>(COLUMNS, N - j);
    const float* next = panel.next;
    int rows;
    for (int64_t i = from; i < to; i += rows) {
      // The first tile fetches the next panel's columns but for the last ones, the others all but the first.
      if (next && i > from) panel.next = next + WIDTH;
      rows = T::rowsOf(to - i);
      fetchTile(C, i, rows, j, columns);
      T::multiply(rows, T::vectorsFrom(j, N), K, A.data + i * A.row + k * A.column, A.row, A.column, panel, acc);
      T::put(acc, rows, columns, C, i, j, k > 0);
    }
  }

  // Panels [first, last) for few rows: B is read where it lies, and fetched from memory a panel ahead.
  void runFewRows(int64_t from, int64_t to, int64_t first, int64_t last) const {
    const Buffer packed = allocate(K * COLUMNS);
    for (int64_t p = first; p < last; p++) {
      const int64_t j = p * COLUMNS, width = T::vectorsFrom(j, N) * WIDTH;
      if (j + width <= N) {
        const float* at = B.data + k * B.row + j;
        run(from, to, j, {at, B.row, p + 1 < last ? at + COLUMNS : nullptr});
        continue;
      }
      T::pack(B, k, K, j, N, packed.get());
      run(from, to, j, {packed.get(), width});
    }
  }

  // The same for many: as many panels as the cache holds are packed and stay for all rows, some of which stay for all
  // of these panels.
  void runManyRows(int64_t from, int64_t to, int64_t first, int64_t last) const {
    const int64_t inGroup = unitsIn(panels, K * COLUMNS);
    const int64_t inChunk = std::max<int64_t>(ROWS, unitsIn(CHUNK, K) / ROWS * ROWS);
    const Buffer packed = allocate(std::min(inGroup, last - first) * K * COLUMNS);
    for (int64_t group = first; group < last; group += inGroup) {
      const int64_t end = std::min(last, group + inGroup);
      const auto place = [&](int64_t p) { return packed.get() + (p - group) * K * COLUMNS; };
      for (int64_t p = group; p < end; p++) T::pack(B, k, K, p * COLUMNS, N, place(p));
      for (int64_t chunk = from; chunk < to; chunk += inChunk)
        for (int64_t p = group; p < end; p++)
          run(chunk, std::min(to, chunk + inChunk), p * COLUMNS, {place(p), T::vectorsFrom(p * COLUMNS, N) * WIDTH});
    }
  }
};

// Calls `each(k, depth)` for the blocks that a sum over K is cut into.
template <class Each>
void eachBlock(int64_t K, const Each& each) {
  const int64_t blocks = std::max<int64_t>(1, (K + PRODUCT_DEPTH - 1) / PRODUCT_DEPTH);
  for (int64_t block = 0; block < blocks; block++) {
    const int64_t k = K * block / blocks;
    each(k, K * (block + 1) / blocks - k);
  }
}

template <class T>
void multiplyBy(const Product& p, int64_t panelFloats) {
  const Target target{p.C, p.rowC, p.columnC, p.bias};
  const int64_t across = T::panels(p.N), down = (p.M + T::ROWS - 1) / T::ROWS;
  // A thread that takes panels packs none twice; where they are few, one may have a narrow last one and another a whole.
  const int64_t few = 2 * threadCount();
  const bool byPanels = across >= down / 4 && (across >= few || down < few);
  // A thread should have at least some hundredths of a millisecond of work.
  const int64_t piece = p.K * (byPanels ? p.M * T::COLUMNS : p.N * T::ROWS);
  const int64_t least = unitsIn(1'000'000, piece);
  parallel(byPanels ? across : down, least, [&](int64_t begin, int64_t end) {
    eachBlock(p.K, [&](int64_t k, int64_t depth) {
      const Block<T> each{p.A, p.B, target, p.N, k, depth, panelFloats};
      if (byPanels) each.multiply(0, p.M, begin, end);
      else each.multiply(begin * T::ROWS, std::min(p.M, end * T::ROWS), 0, across);
    });
  });
}

constexpr int64_t PANELS = 96 * 1024, MANY_PANELS = 256 * 1024;
// With tiles of four vectors A is read less often, with those of two B is.
using WideTile = Tile<6, MANY_REGISTERS ? 4 : 2>;
using TallTile = Tile<MANY_REGISTERS ? 14 : 8, MANY_REGISTERS ? 2 : 1>;

struct Implementation {
  void (*multiply)(const Product&, int64_t panels);
  ProductTile tile;
};

template <class T>
constexpr Implementation by(int64_t panels) {
  return {multiplyBy<T>, {T::ROWS, T::COLUMNS, panels * int64_t(sizeof(float))}};
}

// The first is what is used unless another was measured to be faster.
constexpr Implementation IMPLEMENTATIONS[PRODUCT_IMPLEMENTATIONS] = {by<OwnTile>(PANELS), by<OwnTile>(MANY_PANELS),
                                                                     by<WideTile>(MANY_PANELS), by<TallTile>(MANY_PANELS)};

// By kind of shape.
std::array<std::atomic<int>, PRODUCT_SHAPES> choice = {};

}  // namespace

ProductTile tileOf(int implementation) { return IMPLEMENTATIONS[implementation].tile; }

void chooseProduct(int shape, int implementation) { choice[shape] = implementation; }

int shapeOf(const Product& p) {
  const int deep = p.K > PRODUCT_DEPTH;
  if (p.A.column != 1) return LEFT_TURNED + deep;
  if (p.B.column != 1) return RIGHT_TURNED + deep;
  return (p.M <= 128 ? FEW_ROWS_OF_A : MANY_ROWS_OF_A) + deep;
}

void multiplyAs(int implementation, const Product& product) {
  IMPLEMENTATIONS[implementation].multiply(product, IMPLEMENTATIONS[implementation].tile.panelBytes / sizeof(float));
}

void multiply(int64_t M, int64_t N, int64_t K, View A, View B, const float* bias, float* C, int64_t rowC,
              int64_t columnC) {
  if (multiplyThin(M, N, K, A, B, bias, C, rowC, columnC)) return;
  const Product product{M, N, K, A, B, bias, C, rowC, columnC};
  multiplyAs(choice[shapeOf(product)].load(std::memory_order_relaxed), product);
}

void multiplyByItself(int64_t M, int64_t K, const float* A, float* G) {
  const View rows{A, K, 1}, columns{A, 1, K};
  const Target target{G, M, 1, nullptr};
  constexpr int COLUMNS = OwnTile::COLUMNS;
  const int64_t count = OwnTile::panels(M);
  parallel(count, unitsIn(8'000'000, K * M * COLUMNS), [&](int64_t begin, int64_t end) {
    for (int64_t q = begin; q < end; q++) {
      // Long panels and short ones in turn, so that threads have as much to do.
      const int64_t p = q % 2 ? count - 1 - q / 2 : q / 2, to = std::min(M, (p + 1) * COLUMNS);
      eachBlock(K, [&](int64_t k, int64_t depth) {
        Block<OwnTile>{rows, columns, target, M, k, depth, PANELS}.multiply(0, to, p, p + 1);
      });
    }
  });
  for (int64_t i = 0; i < M; i++)
    for (int64_t j = 0; j < i; j++) G[i * M + j] = G[j * M + i];
}

}  // namespace alignsae
