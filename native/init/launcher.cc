// How init comes to be nobody's child: fork, report, exit.
#include "launcher.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

namespace weft {
namespace {

// Init's report: this, or "CODE TEXT" of an error.
constexpr char kReadyReport[] = "ready";

// A report line fits, and so does /proc/PID/stat up to the field that counts.
constexpr size_t kLineBytes = 512;

bool WriteAll(int fd, const char* text) {
  const size_t length = strlen(text);
  return write(fd, text, length) == static_cast<ssize_t>(length);
}

// Reads to the end or to the capacity; `text` becomes a string.
void ReadText(int fd, char (&text)[kLineBytes]) {
  size_t length = 0;
  while (length < kLineBytes - 1) {
    const ssize_t got = read(fd, text + length, kLineBytes - 1 - length);
    if (got <= 0) break;
    length += static_cast<size_t>(got);
  }
  text[length] = '\0';
}

// Field 22 of /proc/PID/stat: with the PID it names a process for good, also when PIDs come round.
unsigned long long StartTime(int pid) {
  char path[32];
  snprintf(path, sizeof(path), "/proc/%d/stat", pid);
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  char text[kLineBytes];
  ReadText(fd, text);
  close(fd);
  // Field 2 is the name in parentheses and may contain anything; field 3 follows the last one.
  const char* field = strrchr(text, ')');
  for (int number = 2; field != nullptr && number < 22; ++number) field = strchr(field + 1, ' ');
  return field == nullptr ? 0 : strtoull(field, nullptr, 10);
}

}  // namespace

void Launcher::Fork(PidNamespace pid_namespace) {
  signal(SIGPIPE, SIG_IGN);
  int report[2];
  if (pipe2(report, O_CLOEXEC) != 0) ReportError(Error::FromErrno(kInternal, "pipe"));
  if (pid_namespace == PidNamespace::kOwn && unshare(CLONE_NEWPID) != 0) {
    ReportError(Error::FromErrno(kInternal, "unshare PID"));
  }
  const pid_t pid = fork();
  if (pid < 0) ReportError(Error::FromErrno(kInternal, "fork"));
  if (pid > 0) {
    close(report[1]);
    WaitForReport(pid, report[0]);
  }
  close(report[0]);
  close(ready_fd_);
  ready_fd_ = -1;
  report_fd_ = report[1];
}

void Launcher::WaitForReport(int init_pid, int report_fd) {
  char report[kLineBytes];
  ReadText(report_fd, report);
  char line[kLineBytes + 16];
  const bool ready = strcmp(report, kReadyReport) == 0;
  if (ready) {
    snprintf(line, sizeof(line), "ready %d %llu\n", init_pid, StartTime(init_pid));
  } else if (report[0] != '\0') {
    snprintf(line, sizeof(line), "error %s\n", report);
  } else {
    snprintf(line, sizeof(line), "error %s init ended before it was ready\n", kInternal);
  }
  const bool heard = WriteAll(ready_fd_, line);
  // An init that nobody knows of would stay for ever.
  if (ready && !heard) kill(init_pid, SIGKILL);
  _exit(ready && heard ? 0 : 1);
}

void Launcher::ReportReady() {
  if (!WriteAll(report_fd_, kReadyReport)) _exit(1);
  close(report_fd_);
}

void Launcher::ReportError(const Error& error) {
  char line[kLineBytes];
  if (report_fd_ >= 0) {
    snprintf(line, sizeof(line), "%s %s", error.code(), error.text());
    WriteAll(report_fd_, line);
  } else {
    snprintf(line, sizeof(line), "error %s %s\n", error.code(), error.text());
    WriteAll(ready_fd_, line);
  }
  _exit(1);
}

}  // namespace weft
