// Work on all cores: a pool of threads that lives as long as the process.
#pragma once
#include <cstdint>
#include <functional>

namespace alignsae {

// The cores that this process may use.
int threadCount();

// Runs `part(begin, end)` over [0, count) in contiguous pieces of at least `least` each, and returns when all are
// done. A call while another is under way, such as from a second op of the same graph, runs in its own thread alone.
void parallel(int64_t count, int64_t least, const std::function<void(int64_t, int64_t)>& part);

// Runs `work`, in which `parallel` uses this thread alone.
void inThisThread(const std::function<void()>& work);

}  // namespace alignsae
