// Times in buckets that widen with the value: percentiles of any number of them, exact to 1.6 %.
#ifndef WEFT_BENCH_LATENCY_HISTOGRAM_H_
#define WEFT_BENCH_LATENCY_HISTOGRAM_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace weft {

class LatencyHistogram {
 public:
  void Add(uint64_t ns) {
    counts_[IndexOf(ns)]++;
    count_++;
    sum_ += ns;
    min_ = std::min(min_, ns);
    max_ = std::max(max_, ns);
  }

  uint64_t count() const { return count_; }
  uint64_t min() const { return count_ == 0 ? 0 : min_; }
  uint64_t max() const { return max_; }
  uint64_t mean() const { return count_ == 0 ? 0 : sum_ / count_; }

  // The value that a share of all (0.99) does not exceed; 0 when there is none.
  uint64_t Percentile(double share) const {
    const auto rank = static_cast<uint64_t>(share * static_cast<double>(count_));
    uint64_t below = 0;
    for (size_t index = 0; index < counts_.size(); index++) {
      below += counts_[index];
      if (below > rank) return std::min(UpperEdge(index), max_);
    }
    return max_;
  }

 private:
  // Each power of two has this many buckets; below that, each value has its own.
  static constexpr int kBits = 6;
  static constexpr uint64_t kSteps = uint64_t{1} << kBits;
  static constexpr size_t kBuckets = (64 - kBits + 1) * kSteps;

  static size_t IndexOf(uint64_t value) {
    if (value < kSteps) return value;
    const int shift = 63 - __builtin_clzll(value) - kBits;
    return static_cast<size_t>(shift) * kSteps + (value >> shift);
  }

  // The largest value that IndexOf() maps to this bucket.
  static uint64_t UpperEdge(size_t index) {
    if (index < 2 * kSteps) return index;
    const uint64_t shift = index / kSteps - 1;
    return ((index - shift * kSteps + 1) << shift) - 1;
  }

  std::vector<uint64_t> counts_ = std::vector<uint64_t>(kBuckets);
  uint64_t count_ = 0;
  uint64_t sum_ = 0;
  uint64_t min_ = UINT64_MAX;
  uint64_t max_ = 0;
};

}  // namespace weft

#endif  // WEFT_BENCH_LATENCY_HISTOGRAM_H_
