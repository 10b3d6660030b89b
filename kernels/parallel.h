// Work on all cores: a pool of threads that lives as long as the process.
#pragma once
#include <algorithm>
#include <cstdint>
#include <functional>

namespace alignsae {

// The cores that this process may use.
int threadCount();

// Runs `part(begin, end)` over [0, count) in contiguous pieces of at least `least` each, and returns when all are
// done. A call while another is under way, such as from a second op of the same graph, runs in its own thread alone.
void parallel(int64_t count, int64_t least, const std::function<void(int64_t, int64_t)>& part);

// How many units of this cost make up so much work: one at least, and of units that cost nothing all the work.
inline int64_t unitsIn(int64_t work, int64_t cost) { return std::max<int64_t>(1, work / std::max<int64_t>(1, cost)); }

// Runs `work`, in which `parallel` uses this thread alone.
void inThisThread(const std::function<void()>& work);

}  // namespace alignsae
