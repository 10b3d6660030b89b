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
void attend(int64_t D, float factor, const float* q, const Segment (&segments)[N], float* scores, float* y) {
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

// qkv [B, (H + 2·G)·D] of the new tokens; prompt [B, T, 2·G·D], keys and values, of whose sequences the first lengths [B]
// tokens count; made [B, n, 2·G·D], those of the tokens since → y [B, H·D] and made with the new token, [B, n + 1, 2·G·D].
struct DecodeAttention {
  int64_t heads, shared, window;
  float scale;
  explicit DecodeAttention(const Attributes& attributes)
      : heads(attributes.integer("heads")),
        shared(attributes.integer("key_value_heads")),
        window(attributes.integer("window")),
        scale(attributes.real("scale")) {}

  void operator()(Call& call) {
    const Tensor qkv = call.input(0), prompt = call.input(1), made = call.input(2), lengths = call.input(3);
    if (window < 1 || shared < 1 || heads % shared != 0 || qkv.rank() != 2 || qkv.size(1) % (heads + 2 * shared) != 0)
      return call.refuse("qkv must be [B, (heads + 2 * key_value_heads) * D]");
    const int64_t B = qkv.size(0), row = qkv.size(1), D = row / (heads + 2 * shared), K = shared * D;
    if (prompt.rank() != 3 || prompt.size(0) != B || prompt.size(2) != 2 * K || made.rank() != 3 || made.size(0) != B ||
        made.size(2) != 2 * K || lengths.count() != B)
      return call.refuse("prompt, made and lengths do not fit qkv");
    const int64_t T = prompt.size(1), n = made.size(1);
    for (int64_t b = 0; b < B; b++)
      if (lengths.ints()[b] < 0 || lengths.ints()[b] > T) return call.refuse("lengths must be 0 to the prompts' length");
    const Tensor y = call.output(0, {B, heads * D}), grown = call.output(1, {B, n + 1, 2 * K});
    for (int64_t b = 0; b < B; b++) {
      float* to = grown.floats() + b * (n + 1) * 2 * K;
      if (n > 0) std::copy_n(made.floats() + b * n * 2 * K, n * 2 * K, to);
      std::copy_n(qkv.floats() + b * row + heads * D, 2 * K, to + n * 2 * K);
    }
    parallel(B * heads, unitsIn(LEAST, (T + n + 1) * D), [&](int64_t from, int64_t to) {
      std::vector<float> scores(T + n + 1);
      for (int64_t unit = from; unit < to; unit++) {
        const int64_t b = unit / heads, head = unit % heads, group = head / (heads / shared) * D;
        // Of the prompt and of what has been made since, tokens before the window are passed over.
        const int64_t length = lengths.ints()[b], hidden = std::max<int64_t>(0, length + n + 1 - window);
        const int64_t old = std::min(hidden, length), late = hidden - old;
        const float* before = prompt.floats() + (b * T + old) * 2 * K + group;
        const float* since = grown.floats() + (b * (n + 1) + late) * 2 * K + group;
        const Segment segments[] = {{length - old, 2 * K, before, before + K}, {n + 1 - late, 2 * K, since, since + K}};
        attend(D, scale, qkv.floats() + b * row + head * D, segments, scores.data(), y.floats() + unit * D);
      }
    });
  }
};

const Registered<DecodeAttention> decodeAttention(
    {"AlignsaeDecodeAttention",
     {"qkv: float", "prompt: float", "made: float", "lengths: int32"},
     {"y: float", "grown: float"},
     {"heads: int", "key_value_heads: int", "window: int", "scale: float"},
     false});

}  // namespace
}  // namespace alignsae
