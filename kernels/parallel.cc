#include "parallel.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>
#ifdef __SSE__
#include <xmmintrin.h>
#endif

namespace alignsae {
namespace {

// Numbers too small to be normal slow a core down a hundredfold; moments of Adam fade into them. TensorFlow's own threads
// do the same, on both kinds of processor: what a weight becomes must not depend on which thread updates it.
void flushDenormals() {
#ifdef __SSE__
  _mm_setcsr(_mm_getcsr() | 0x8040);
#elif defined(__aarch64__)
  uint64_t control;
  asm volatile("mrs %0, fpcr" : "=r"(control));
  asm volatile("msr fpcr, %0" : : "r"(control | 1 << 24));
#endif
}

void pause() {
#ifdef __SSE__
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

int usableCores() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
  return std::max(1u, std::thread::hardware_concurrency());
}

class Pool {
 public:
  explicit Pool(int threads) {
    for (int i = 0; i < threads; i++) std::thread([this] { work(); }).detach();
  }

  void run(int parts, const std::function<void(int)>& part) {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      part_ = &part;
      next_ = 1;
      parts_ = parts;
      left_ = parts - 1;
      round_.fetch_add(1, std::memory_order_release);
    }
    wake_.notify_all();
    part(0);
    for (int i; (i = take()) >= 0;) finish(i, part);
    look([this] { return left_.load(std::memory_order_acquire) == 0; });
    std::unique_lock<std::mutex> lock(mutex_);
    done_.wait(lock, [this] { return left_ == 0; });
    parts_ = 0;
  }

 private:
  int take() {
    std::lock_guard<std::mutex> lock(mutex_);
    return next_ < parts_ ? next_++ : -1;
  }

  void finish(int i, const std::function<void(int)>& part) {
    part(i);
    std::lock_guard<std::mutex> lock(mutex_);
    if (--left_ == 0) done_.notify_one();
  }

  void work() {
    flushDenormals();
    for (uint64_t seen = 0;;) {
      await(seen);
      for (int i; (i = take()) >= 0;) finish(i, *part_);
    }
  }

  // Looks some microseconds whether it has come: parts of a round end together, and ops of a graph follow one another closely.
  template <class Come>
  static void look(const Come& come) {
    for (int i = 0; i < 2000 && !come(); i++) pause();
  }

  // Looks before it sleeps.
  void await(uint64_t& seen) {
    look([&] { return round_.load(std::memory_order_acquire) != seen; });
    std::unique_lock<std::mutex> lock(mutex_);
    wake_.wait(lock, [&] { return round_.load(std::memory_order_relaxed) != seen; });
    seen = round_.load(std::memory_order_relaxed);
  }

  std::mutex mutex_;
  std::condition_variable wake_, done_;
  const std::function<void(int)>* part_ = nullptr;
  int next_ = 0, parts_ = 0;
  std::atomic<int> left_{0};
  std::atomic<uint64_t> round_{0};
};

thread_local bool alone = false;

}  // namespace

int threadCount() {
  static const int count = usableCores();
  return count;
}

void parallel(int64_t count, int64_t least, const std::function<void(int64_t, int64_t)>& part) {
  // Never freed: its threads may outlive the destructors of a process that ends.
  static Pool* pool = new Pool(threadCount() - 1);
  static std::mutex* busy = new std::mutex;
  // More parts than threads, so that one which is held up leaves some of its own to the others.
  const int64_t most = threadCount() == 1 ? 1 : 4 * threadCount();
  const int64_t parts = std::min(most, unitsIn(count, least));
  if (parts == 1 || alone || !busy->try_lock()) return part(0, count);
  pool->run(int(parts), [&](int i) { part(count * i / parts, count * (i + 1) / parts); });
  busy->unlock();
}

void inThisThread(const std::function<void()>& work) {
  alone = true;
  work();
  alone = false;
}

}  // namespace alignsae
