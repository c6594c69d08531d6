// Counters: an array per worker, named once in counters.def, summed by who reads them.

#ifndef WEFT_COUNTERS_H_
#define WEFT_COUNTERS_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace weft {

enum class Counter : uint16_t {
#define COUNT(name, text) name,
#define DROP(name, text) drop_##name,
#include "counters.def"
#undef COUNT
#undef DROP
  kCount
};

inline constexpr size_t kCounterCount = static_cast<size_t>(Counter::kCount);

struct CounterInfo {
  const char* name;
  const char* text;
  bool is_drop;
};

inline constexpr CounterInfo kCounterInfo[] = {
#define COUNT(name, text) {#name, text, false},
#define DROP(name, text) {#name, text, true},
#include "counters.def"
#undef COUNT
#undef DROP
};
static_assert(sizeof(kCounterInfo) / sizeof(kCounterInfo[0]) == kCounterCount);

// One writer (its worker), any number of readers. Relaxed: each number is right by itself, no order
// between two.
class alignas(64) Counters {
 public:
  void Add(Counter counter, uint64_t amount = 1) {
    auto& value = values_[static_cast<size_t>(counter)];
    value.store(value.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
  }
  uint64_t Get(size_t index) const { return values_[index].load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> values_[kCounterCount] = {};
};

}  // namespace weft

#endif  // WEFT_COUNTERS_H_
