// The largest values of a row.
#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

namespace alignsae {

struct Kept {
  float value;
  int64_t at;
};

// The k largest of a row that are above 0, of equal ones the leftmost, as a heap.
inline void findLargest(const float* row, int64_t n, int64_t k, std::vector<Kept>& kept) {
  // Whether a goes before b: it is larger, or as large and further left.
  const auto before = [](const Kept& a, const Kept& b) { return a.value != b.value ? a.value > b.value : a.at < b.at; };
  kept.clear();
  float least = 0;  // What a value must exceed.
  for (int64_t j = 0; j < n; j++) {
    if (!(row[j] > least)) continue;
    if (int64_t(kept.size()) == k) {
      std::pop_heap(kept.begin(), kept.end(), before);
      kept.pop_back();
    }
    kept.push_back({row[j], j});
    std::push_heap(kept.begin(), kept.end(), before);
    if (int64_t(kept.size()) == k) least = kept.front().value;
  }
}

}  // namespace alignsae
