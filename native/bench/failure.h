// How a verb of weft-flood ends early: one line on stderr and exit status 1; or asked to, in order.
#ifndef WEFT_BENCH_FAILURE_H_
#define WEFT_BENCH_FAILURE_H_

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>

namespace weft {

constexpr int kDone = 0;
constexpr int kFailed = 1;
constexpr int kUsage = 2;

inline int Fail(const char* what) {
  fprintf(stderr, "weft-flood: %s\n", what);
  return kFailed;
}

inline int FailWithErrno(const char* what) {
  fprintf(stderr, "weft-flood: %s: %s\n", what, strerror(errno));
  return kFailed;
}

// Set by SIGINT and SIGTERM: the verb stops at its next step and reports what it has.
extern volatile sig_atomic_t stop_asked;

}  // namespace weft

#endif  // WEFT_BENCH_FAILURE_H_
