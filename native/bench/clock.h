// The clock of weft-flood: one for all processes of a machine, whatever network namespace they are
// in.
#ifndef WEFT_BENCH_CLOCK_H_
#define WEFT_BENCH_CLOCK_H_

#include <time.h>

#include <cstdint>

namespace weft {

constexpr uint64_t kNsPerSecond = 1'000'000'000;
constexpr uint64_t kNsPerMs = 1'000'000;

inline uint64_t NowNs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * kNsPerSecond + static_cast<uint64_t>(now.tv_nsec);
}

// Until then, or until a signal comes.
inline void SleepUntilNs(uint64_t when) {
  const timespec until{static_cast<time_t>(when / kNsPerSecond),
                       static_cast<long>(when % kNsPerSecond)};
  clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr);
}

}  // namespace weft

#endif  // WEFT_BENCH_CLOCK_H_
