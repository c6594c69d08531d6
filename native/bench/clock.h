// The clocks of weft-flood: the time is one for all processes of a machine, whatever network
// namespace they are in; CPU time is our own.
#ifndef WEFT_BENCH_CLOCK_H_
#define WEFT_BENCH_CLOCK_H_

#include <sys/resource.h>
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

// That this process has had, with what the kernel did in its system calls.
inline double CpuMs() {
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  const auto ms = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) * 1e3 + static_cast<double>(time.tv_usec) / 1e3;
  };
  return ms(usage.ru_utime) + ms(usage.ru_stime);
}

// Until then, or until a signal comes.
inline void SleepUntilNs(uint64_t when) {
  const timespec until{static_cast<time_t>(when / kNsPerSecond),
                       static_cast<long>(when % kNsPerSecond)};
  clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr);
}

}  // namespace weft

#endif  // WEFT_BENCH_CLOCK_H_
