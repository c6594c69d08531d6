// How init comes to be nobody's child, and how its starter hears of it.
//
// The starter (the daemon) starts weft-init, which forks: the parent, the launcher, waits until the
// child has reported, passes that on and exits. The child is init. It belongs to no process that
// could take it along.
#ifndef WEFT_INIT_LAUNCHER_H_
#define WEFT_INIT_LAUNCHER_H_

#include "error.h"

namespace weft {

class Launcher {
 public:
  explicit Launcher(int ready_fd) : ready_fd_(ready_fd) {}

  enum class PidNamespace { kOwn, kStarters };

  // Returns in init only.
  void Fork(PidNamespace pid_namespace);

  // Once, by init: `ready`, or `error` and the end. Init ends too if nobody is there to hear it.
  void ReportReady();
  [[noreturn]] void ReportError(const Error& error);

 private:
  [[noreturn]] void WaitForReport(int init_pid, int report_fd);

  int ready_fd_;        // the starter's
  int report_fd_ = -1;  // from init to the launcher
};

}  // namespace weft

#endif  // WEFT_INIT_LAUNCHER_H_
