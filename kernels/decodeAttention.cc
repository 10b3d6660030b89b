// Attention of one new token of each sequence to what is kept of the earlier ones.
#include <algorithm>
#include <cmath>

#include "op.h"
#include "parallel.h"
#include "rows.h"

namespace alignsae {
namespace {

// Multiply-adds that a thread has at least.
constexpr int64_t LEAST = 1 << 17;

inline float dot(int64_t n, const float* x, const float* y) {
  Vec sum = {};
  eachVector(n, [&](int64_t i, int64_t k) { sum += loadUpTo(x + i, k) * loadUpTo(y + i, k); });
  return total(sum);
}

inline void addScaled(int64_t n, float factor, const float* x, float* y) {
  eachVector(n, [&](int64_t i, int64_t k) { storeUpTo(y + i, loadUpTo(y + i, k) + loadUpTo(x + i, k) * factor, k); });
}

// `count` keys of D with their values, rows `stride` apart.
struct Segment {
  int64_t count, stride;
  const float *keys, *values;
};

// y [D] = what the query sees of the segments; `scores` holds a number a key.
template <int N>
void attend(int64_t D, const float* q, const Segment (&segments)[N], float* scores, float* y) {
  const float factor = float(1 / std::sqrt(double(D)));
  float most = -INFINITY, sum = 0;
  int64_t at = 0;
  for (const Segment& each : segments)
    for (int64_t i = 0; i < each.count; i++, at++) {
      scores[at] = dot(D, q, each.keys + i * each.stride) * factor;
      most = std::max(most, scores[at]);
    }
  eachVector(at, [&](int64_t i, int64_t k) {
    const Vec share = firstLanes(k, exponential(loadUpTo(scores + i, k) - most), Vec{});
    sum += total(share);
    storeUpTo(scores + i, share, k);
  });
  std::fill(y, y + D, 0.0f);
  at = 0;
  for (const Segment& each : segments)
    for (int64_t i = 0; i < each.count; i++) addScaled(D, scores[at++] / sum, each.values + i * each.stride, y);
}

// qkv [B, 3·C] of the new tokens; prompt [B, T, 3·C], of whose sequences the first lengths [B] tokens count; made
// [B, n, 2·C], keys and values of the tokens since → y [B, C] and made with the new token, [B, n + 1, 2·C].
struct DecodeAttention {
  int64_t heads;
  explicit DecodeAttention(const Attributes& attributes) : heads(attributes.integer("heads")) {}
  void operator()(Call& call) {
    const Tensor qkv = call.input(0), prompt = call.input(1), made = call.input(2), lengths = call.input(3);
    if (qkv.rank() != 2 || prompt.rank() != 3 || made.rank() != 3 || qkv.size(1) % (3 * heads) != 0)
      return call.refuse("qkv must be [B, 3 * heads * D], prompt and made have three axes");
    const int64_t B = qkv.size(0), C = qkv.size(1) / 3, D = C / heads, T = prompt.size(1), n = made.size(1);
    if (prompt.size(0) != B || prompt.size(2) != 3 * C || made.size(0) != B || made.size(2) != 2 * C || lengths.count() != B)
      return call.refuse("prompt, made and lengths do not fit qkv");
    for (int64_t b = 0; b < B; b++)
      if (lengths.ints()[b] < 0 || lengths.ints()[b] > T) return call.refuse("lengths must be 0 to the prompts' length");
    const Tensor y = call.output(0, {B, C}), grown = call.output(1, {B, n + 1, 2 * C});
    for (int64_t b = 0; b < B; b++) {
      float* to = grown.floats() + b * (n + 1) * 2 * C;
      if (n > 0) std::copy_n(made.floats() + b * n * 2 * C, n * 2 * C, to);
      std::copy_n(qkv.floats() + b * 3 * C + C, 2 * C, to + n * 2 * C);
    }
    parallel(B * heads, std::max<int64_t>(1, LEAST / ((T + n + 1) * D)), [&](int64_t from, int64_t to) {
      std::vector<float> scores(T + n + 1);
      for (int64_t unit = from; unit < to; unit++) {
        const int64_t b = unit / heads, head = unit % heads * D;
        const float* before = prompt.floats() + b * T * 3 * C + head;
        const float* since = grown.floats() + b * (n + 1) * 2 * C + head;
        const Segment segments[] = {{lengths.ints()[b], 3 * C, before + C, before + 2 * C},
                                    {n + 1, 2 * C, since, since + C}};
        attend(D, qkv.floats() + b * 3 * C + head, segments, scores.data(), y.floats() + b * C + head);
      }
    });
  }
};

const Registered<DecodeAttention> decodeAttention({"AlignsaeDecodeAttention",
                                                   {"qkv: float", "prompt: float", "made: float", "lengths: int32"},
                                                   {"y: float", "grown: float"},
                                                   {"heads: int"},
                                                   false});

}  // namespace
}  // namespace alignsae
