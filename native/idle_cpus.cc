#include "idle_cpus.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdint>

namespace weft {

namespace {

// PM_QOS_CPU_LATENCY_DEFAULT_VALUE of <linux/pm_qos.h>: no wish at all.
constexpr int kAnyLatencyUs = 2'000'000'000;

}  // namespace

IdleCpus::~IdleCpus() {
  if (fd_ >= 0) close(fd_);
}

bool IdleCpus::Open() {
  // The open file is itself a request, without a wish.
  if (fd_ < 0) fd_ = open("/dev/cpu_dma_latency", O_WRONLY | O_CLOEXEC);
  return fd_ >= 0;
}

bool IdleCpus::KeepAwake() {
  if (fd_ < 0 || awake_) return false;
  awake_ = true;
  Ask(0);
  return true;
}

void IdleCpus::LetSleep() {
  if (!awake_) return;
  awake_ = false;
  Ask(kAnyLatencyUs);
}

void IdleCpus::Ask(int latency_us) {
  const int32_t wish = latency_us;
  // Refused, it stays as it was: slower, or warmer, and right all the same.
  [[maybe_unused]] const ssize_t ignored = write(fd_, &wish, sizeof(wish));
}

}  // namespace weft
