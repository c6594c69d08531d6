#include "scheduling.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

namespace weft {

namespace {

// sched_setattr(2). The kernel's header for it and older C libraries' cannot be included together.
struct SchedAttributes {
  uint32_t size;
  uint32_t policy;
  uint64_t flags;
  int32_t nice;
  uint32_t priority;
  uint64_t runtime;
  uint64_t deadline;
  uint64_t period;
};

constexpr int kNice = -10;
// The shortest that the kernel takes (since Linux 6.12; earlier ones do not look at it). Who wakes
// with a shorter slice than the one that runs need not wait for the end of that one's, which is
// some milliseconds.
constexpr uint64_t kSliceNs = 100'000;

}  // namespace

void PreferThisThread() {
  SchedAttributes wanted = {};
  wanted.size = sizeof(wanted);
  wanted.policy = SCHED_OTHER;
  wanted.nice = kNice;
  wanted.runtime = kSliceNs;
  if (syscall(SYS_sched_setattr, 0, &wanted, 0) != 0) {
    wanted.nice = 0;
    syscall(SYS_sched_setattr, 0, &wanted, 0);
  }
  // With autogroups a nice value counts only inside a session, and each session has the same share
  // of a CPU: that of one command would outweigh us. A session that is not ours alone (a daemon in
  // a terminal) is left as it is.
  if (getsid(0) != getpid()) return;
  const int fd = open("/proc/self/autogroup", O_WRONLY | O_CLOEXEC);
  if (fd < 0) return;
  dprintf(fd, "%d", kNice);
  close(fd);
}

bool MayUseCpu(int cpu) {
  cpu_set_t allowed;
  return cpu >= 0 && cpu < CPU_SETSIZE && sched_getaffinity(0, sizeof(allowed), &allowed) == 0 &&
         CPU_ISSET(cpu, &allowed);
}

void KeepThisThreadOn(int cpu) {
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(cpu, &one);
  sched_setaffinity(0, sizeof(one), &one);
}

}  // namespace weft
