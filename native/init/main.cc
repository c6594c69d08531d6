// weft-init: the process that a sandbox cannot lose. Its three modes; README.md is the contract.
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../kept_descriptors.h"
#include "error.h"
#include "init.h"
#include "launcher.h"
#include "namespaces.h"

namespace weft {
namespace {

// As in env(1) and docker: the wrapper failed, not what it was to run.
constexpr int kOwnFailure = 125;
constexpr int kNotExecutable = 126;
constexpr int kCommandNotFound = 127;
constexpr int kUsage = 2;

constexpr char kUsageText[] =
    "usage: weft-init run --dir DIR --sock PATH --ready-fd N [--keep N] --hostname NAME [--cwd DIR]"
    " [--tty] -- CMD...\n"
    "       weft-init hold --dir DIR --sock PATH --ready-fd N [--keep N] (--netns PATH | --pid "
    "PID)\n"
    "       weft-init enter --netns PATH [--hostname NAME] -- CMD...\n";

struct Arguments {
  const char* dir = nullptr;
  const char* sock = nullptr;
  const char* ready_fd = nullptr;
  const char* hostname = nullptr;
  const char* cwd = nullptr;
  const char* netns = nullptr;
  const char* pid = nullptr;
  const char* keep = nullptr;
  bool tty = false;
  char* const* command = nullptr;  // ends with nullptr, as argv does; nullptr: none given
};

// False for what no mode knows.
bool Parse(char* const* argv, Arguments* arguments) {
  struct Option {
    const char* name;
    const char** value;
  };
  const Option options[] = {
      {"--dir", &arguments->dir},           {"--sock", &arguments->sock},
      {"--ready-fd", &arguments->ready_fd}, {"--hostname", &arguments->hostname},
      {"--cwd", &arguments->cwd},           {"--netns", &arguments->netns},
      {"--pid", &arguments->pid},           {"--keep", &arguments->keep},
  };
  for (; *argv != nullptr; ++argv) {
    if (strcmp(*argv, "--") == 0) {
      arguments->command = argv[1] == nullptr ? nullptr : argv + 1;
      return true;
    }
    if (strcmp(*argv, "--tty") == 0) {
      arguments->tty = true;
      continue;
    }
    const char** value = nullptr;
    for (const Option& option : options) {
      if (strcmp(*argv, option.name) == 0) value = option.value;
    }
    if (value == nullptr || *++argv == nullptr) return false;
    *value = *argv;
  }
  return true;
}

int Usage() {
  fputs(kUsageText, stderr);
  return kUsage;
}

// A small positive number, or -1.
int ParseNumber(const char* text) {
  char* end;
  errno = 0;
  const long value = strtol(text, &end, 10);
  return errno == 0 && *text != '\0' && *end == '\0' && value > 0 && value <= 0x7fffffff
             ? static_cast<int>(value)
             : -1;
}

// Keeps the ready descriptor, the `keep` descriptors behind it that the starter wants kept, and
// nothing else of what it may have left open: init would hold it open for the life of the sandbox.
// Returns the ready descriptor, or -1.
int KeepDescriptors(const char* ready_fd, const char* keep) {
  const int kept = keep == nullptr ? 0 : ParseNumber(keep);
  const int fd = ParseNumber(ready_fd);
  if (kept < 0 || kept > kMostKept) return -1;
  if (fd < kReadyDescriptor) return -1;
  if (fd == kReadyDescriptor ? fcntl(fd, F_SETFD, FD_CLOEXEC) != 0
                             : dup3(fd, kReadyDescriptor, O_CLOEXEC) < 0) {
    return -1;
  }
  for (int number = kFirstKeptDescriptor; number < kFirstKeptDescriptor + kept; number++) {
    if (fcntl(number, F_SETFD, FD_CLOEXEC) != 0) return -1;
  }
  syscall(SYS_close_range, kFirstKeptDescriptor + kept, ~0U, 0);
  return kReadyDescriptor;
}

// Lets go of the starter's session, directory and standard streams.
void Detach() {
  setsid();
  if (chdir("/") != 0) errno = 0;
  const int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
  for (int fd = 0; fd <= 2; ++fd) dup2(null_fd, fd);
  if (null_fd > 2) close(null_fd);
}

// Relative ones would mean something else after Detach().
Error CheckPaths(const Arguments& arguments) {
  for (const char* path : {arguments.dir, arguments.sock}) {
    if (path[0] != '/') return Error::Of(kInvalidArgument, "%s is no absolute path", path);
  }
  return {};
}

[[noreturn]] void Serve(Launcher* launcher, const InitOptions& options) {
  static Init init;
  if (Error error = init.Open(options)) launcher->ReportError(error);
  launcher->ReportReady();
  init.Run();
  _exit(0);
}

int RunMode(const Arguments& arguments) {
  if (arguments.dir == nullptr || arguments.sock == nullptr || arguments.ready_fd == nullptr ||
      arguments.hostname == nullptr || arguments.command == nullptr) {
    return Usage();
  }
  const int ready_fd = KeepDescriptors(arguments.ready_fd, arguments.keep);
  if (ready_fd < 0) return Usage();
  Launcher launcher(ready_fd);
  if (Error error = CheckPaths(arguments)) launcher.ReportError(error);
  launcher.Fork(Launcher::PidNamespace::kOwn);
  Detach();
  if (Error error = MakeSandbox(arguments.hostname)) launcher.ReportError(error);
  Serve(&launcher, {.mode = InitOptions::Mode::kRun,
                    .socket_path = arguments.sock,
                    .dir = arguments.dir,
                    .cwd = arguments.cwd == nullptr ? "/" : arguments.cwd,
                    .target_pidfd = -1,
                    .target_pid = 0,
                    .argv = arguments.command,
                    .terminal = arguments.tty});
}

// Opens the process, then joins its network namespace: in this order the PID cannot come to mean
// another process in between unnoticed.
Error JoinNetworkOf(const char* pid_text, int* pidfd) {
  const int pid = ParseNumber(pid_text);
  if (pid < 0) return Error::Of(kInvalidArgument, "'%s' is no process id", pid_text);
  *pidfd = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
  if (*pidfd < 0) {
    return Error::FromErrno(errno == ESRCH ? kNotFound : kInternal, "process %d", pid);
  }
  char path[32];
  snprintf(path, sizeof(path), "/proc/%d/ns/net", pid);
  return JoinNetwork(path);
}

int HoldMode(const Arguments& arguments) {
  if (arguments.dir == nullptr || arguments.sock == nullptr || arguments.ready_fd == nullptr ||
      (arguments.netns == nullptr) == (arguments.pid == nullptr)) {
    return Usage();
  }
  const int ready_fd = KeepDescriptors(arguments.ready_fd, arguments.keep);
  if (ready_fd < 0) return Usage();
  Launcher launcher(ready_fd);
  if (Error error = CheckPaths(arguments)) launcher.ReportError(error);
  launcher.Fork(Launcher::PidNamespace::kStarters);
  int pidfd = -1;
  if (Error error = arguments.pid == nullptr ? JoinNetwork(arguments.netns)
                                             : JoinNetworkOf(arguments.pid, &pidfd)) {
    launcher.ReportError(error);
  }
  Detach();
  Serve(&launcher, {.mode = InitOptions::Mode::kHold,
                    .socket_path = arguments.sock,
                    .dir = arguments.dir,
                    .cwd = "/",
                    .target_pidfd = pidfd,
                    .target_pid = pidfd < 0 ? 0 : ParseNumber(arguments.pid),
                    .argv = nullptr,
                    .terminal = false});
}

int EnterMode(const Arguments& arguments) {
  if (arguments.netns == nullptr || arguments.command == nullptr) return Usage();
  Error error = JoinNetwork(arguments.netns);
  if (!error && arguments.hostname != nullptr) error = TakeHostname(arguments.hostname);
  if (error) {
    fprintf(stderr, "weft-init: %s\n", error.text());
    return kOwnFailure;
  }
  execvp(arguments.command[0], arguments.command);
  const bool found = errno != ENOENT && errno != ENOTDIR;
  fprintf(stderr, "weft-init: %s: %s\n", arguments.command[0], strerror(errno));
  return found ? kNotExecutable : kCommandNotFound;
}

int Main(char* const* argv) {
  Arguments arguments;
  if (argv[0] == nullptr || argv[1] == nullptr || !Parse(argv + 2, &arguments)) return Usage();
  if (strcmp(argv[1], "run") == 0) return RunMode(arguments);
  if (strcmp(argv[1], "hold") == 0) return HoldMode(arguments);
  if (strcmp(argv[1], "enter") == 0) return EnterMode(arguments);
  return Usage();
}

}  // namespace
}  // namespace weft

int main(int, char** argv) { return weft::Main(argv); }
