// A command in the sandbox: fork, exec, pipes and terminals.
#include "command.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace weft {
namespace {

// What the child writes before it gives up; exec closes the pipe with nothing in it.
struct ChildReport {
  enum Step : int { kTerminal, kDirectory, kExec } step;
  int error_number;
};

// What ^D sends; a program that reads lines takes it as the end of input.
constexpr char kEndOfTransmission = 4;

void CloseAll(int* fds, int count) {
  for (int i = 0; i < count; ++i) {
    if (fds[i] >= 0) close(fds[i]);
  }
}

// Puts the parent's end of a pipe into `parent` and the child's into `*child_fd`.
bool OpenPipe(bool child_reads, Poller* poller, Wake wake, uint32_t index, Watched* parent,
              int* child_fd) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return false;
  const int ours = ends[child_reads ? 1 : 0];
  fcntl(ours, F_SETFL, O_NONBLOCK);
  parent->Open(poller, ours, wake, index);
  *child_fd = ends[child_reads ? 0 : 1];
  return true;
}

// The signal state that programs expect to start with: nothing blocked, nothing ignored.
void ResetSignals() {
  // By the system call: glibc refuses to touch the two signals that it uses itself, and its
  // posix_spawn leaves just those ignored in what it starts, which was us. All zero is the default
  // action.
  constexpr size_t kSignalSetBytes = 8;
  const uint64_t default_action[4] = {};
  for (int number = 1; number < NSIG; ++number) {
    syscall(SYS_rt_sigaction, number, default_action, nullptr, kSignalSetBytes);
  }
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
}

[[noreturn]] void GiveUp(int report_fd, ChildReport::Step step) {
  const ChildReport report = {step, errno};
  const ssize_t written = write(report_fd, &report, sizeof(report));
  _exit(written == sizeof(report) ? 127 : 126);
}

[[noreturn]] void BecomeCommand(const CommandSpec& spec, const int fds[3], int report_fd) {
  if (spec.dies_with_init) prctl(PR_SET_PDEATHSIG, SIGKILL);
  setsid();
  if (spec.terminal && ioctl(fds[0], TIOCSCTTY, 0) != 0) GiveUp(report_fd, ChildReport::kTerminal);
  for (int i = 0; i < 3; ++i) dup2(fds[i], i);
  ResetSignals();
  if (chdir(spec.cwd) != 0) GiveUp(report_fd, ChildReport::kDirectory);
  for (char* const* variable = spec.environment; *variable != nullptr; ++variable) {
    putenv(*variable);
  }
  execvp(spec.argv[0], spec.argv);
  GiveUp(report_fd, ChildReport::kExec);
}

SpawnResult Explain(const ChildReport& report, const CommandSpec& spec) {
  errno = report.error_number;
  switch (report.step) {
    case ChildReport::kTerminal:
      return {Error::FromErrno(kInternal, "controlling terminal"), 126};
    case ChildReport::kDirectory:
      return {Error::FromErrno(kInvalidArgument, "cd %s", spec.cwd), 126};
    case ChildReport::kExec:
      break;
  }
  const bool found = report.error_number != ENOENT && report.error_number != ENOTDIR;
  return {Error::FromErrno(found ? kInvalidArgument : kNotFound, "%s", spec.argv[0]),
          static_cast<uint8_t>(found ? 126 : 127)};
}

}  // namespace

Error Command::OpenPipes(const CommandSpec& spec, Poller* poller, uint32_t index,
                         int child_fds[3]) {
  bool opened;
  if (spec.standard_input == Stdin::kPipe) {
    opened = OpenPipe(true, poller, Wake::kStdin, index, &stdin_, &child_fds[0]);
  } else {
    child_fds[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
    opened = child_fds[0] >= 0;
  }
  if (!opened || !OpenPipe(false, poller, Wake::kStdout, index, &stdout_, &child_fds[1]) ||
      !OpenPipe(false, poller, Wake::kStderr, index, &stderr_, &child_fds[2])) {
    return Error::FromErrno(kInternal, "pipes of %s", spec.argv[0]);
  }
  return {};
}

Error Command::OpenTerminal(const CommandSpec& spec, Poller* poller, uint32_t index,
                            int child_fds[3]) {
  const int master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
  if (master < 0) return Error::FromErrno(kInternal, "open /dev/ptmx");
  stdout_.Open(poller, master, Wake::kStdout, index);
  // Input and output wait for different things at different times, and epoll takes a descriptor
  // once.
  const int input = fcntl(master, F_DUPFD_CLOEXEC, 3);
  if (input >= 0) stdin_.Open(poller, input, Wake::kStdin, index);
  const int unlocked = 0;
  // TIOCGPTPEER asks for no path, so it does not matter what is mounted at /dev/pts.
  if (input < 0 || ioctl(master, TIOCSPTLCK, &unlocked) != 0 ||
      (child_fds[0] = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC)) < 0) {
    return Error::FromErrno(kInternal, "terminal of %s", spec.argv[0]);
  }
  child_fds[1] = fcntl(child_fds[0], F_DUPFD_CLOEXEC, 3);
  child_fds[2] = fcntl(child_fds[0], F_DUPFD_CLOEXEC, 3);
  Resize(spec.size);
  return {};
}

SpawnResult Command::Spawn(Poller* poller, const CommandSpec& spec, uint32_t index) {
  terminal_ = spec.terminal;
  int child_fds[3] = {-1, -1, -1};
  int report_pipe[2] = {-1, -1};
  Error error = spec.terminal ? OpenTerminal(spec, poller, index, child_fds)
                              : OpenPipes(spec, poller, index, child_fds);
  if (!error && pipe2(report_pipe, O_CLOEXEC) != 0) error = Error::FromErrno(kInternal, "pipe");
  pid_t pid = -1;
  if (!error) {
    pid = fork();
    if (pid == 0) BecomeCommand(spec, child_fds, report_pipe[1]);
    if (pid < 0) error = Error::FromErrno(kInternal, "fork");
  }
  CloseAll(child_fds, 3);
  CloseAll(&report_pipe[1], 1);
  if (error) {
    CloseAll(&report_pipe[0], 1);
    Close();
    return {error, 126};
  }

  // Waiting for exec here means that the process group exists and signals reach it, whoever sends
  // them next. Init has nothing better to do meanwhile.
  ChildReport report;
  const ssize_t got = read(report_pipe[0], &report, sizeof(report));
  close(report_pipe[0]);
  if (got == sizeof(report)) {
    waitpid(pid, nullptr, 0);
    Close();
    return Explain(report, spec);
  }
  pid_ = pid;
  WaitForOutput(true);
  return {};
}

void Command::Signal(int number) const {
  if (running()) kill(-pid_, number);
}

void Command::Resize(TerminalSize size) {
  if (!terminal_ || !stdout_.is_open()) return;
  winsize window = {};
  window.ws_row = size.rows;
  window.ws_col = size.columns;
  ioctl(stdout_.fd(), TIOCSWINSZ, &window);
}

size_t Command::WriteInput(const void* bytes, size_t count) {
  if (!stdin_.is_open()) return count;
  const ssize_t written = write(stdin_.fd(), bytes, count);
  if (written >= 0) return static_cast<size_t>(written);
  if (errno == EAGAIN) return 0;
  stdin_.Close();
  return count;
}

void Command::WaitForInputRoom(bool wait) { stdin_.WaitFor(wait ? uint32_t{EPOLLOUT} : 0); }

bool Command::EndInput() {
  if (terminal_) return WriteInput(&kEndOfTransmission, 1) == 1;
  stdin_.Close();
  return true;
}

ssize_t Command::ReadOutput(Wake stream, void* buffer, size_t capacity) {
  Watched& source = stream == Wake::kStderr ? stderr_ : stdout_;
  if (!source.is_open()) return 0;
  const ssize_t got = read(source.fd(), buffer, capacity);
  if (got > 0 || (got < 0 && errno == EAGAIN)) return got;
  // A terminal ends with EIO, when the last process that had it open is gone.
  source.Close();
  return 0;
}

void Command::WaitForOutput(bool wait) {
  const uint32_t events = wait ? uint32_t{EPOLLIN} : 0;
  stdout_.WaitFor(events);
  stderr_.WaitFor(events);
}

void Command::Close() {
  pid_ = 0;
  stdin_.Close();
  stdout_.Close();
  stderr_.Close();
}

}  // namespace weft
