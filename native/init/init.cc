// Init itself: the loop, then output, clients, commands and the end, in this order.
#include "init.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>

namespace weft {
namespace {

// More than a socket's buffer, so that a pause does not cost throughput; little, so that a command
// whose reader stopped stops soon.
constexpr size_t kPauseBytes = 256 << 10;

// How long init waits for its clients to hang up after everything was said.
constexpr uint64_t kEndingMs = 200;

uint64_t NowMs(clockid_t clock) {
  timespec now;
  clock_gettime(clock, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000 + static_cast<uint64_t>(now.tv_nsec) / 1'000'000;
}

ExitStatus FromWaitStatus(int wait_status) {
  if (!WIFSIGNALED(wait_status)) return {static_cast<uint8_t>(WEXITSTATUS(wait_status)), 0};
  const int number = WTERMSIG(wait_status);
  return {static_cast<uint8_t>(128 + number), static_cast<uint8_t>(number)};
}

bool HasChildren() {
  siginfo_t ignored;
  return waitid(P_ALL, 0, &ignored, WEXITED | WNOHANG | WNOWAIT) == 0;
}

void KillChildren() {
  char path[64];
  snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  // Those that do not fit have their turn when the first are reaped.
  char pids[4096];
  const ssize_t got = read(fd, pids, sizeof(pids) - 1);
  close(fd);
  pids[std::max<ssize_t>(got, 0)] = '\0';
  char* next = pids;
  while (const long pid = strtol(next, &next, 10)) kill(static_cast<pid_t>(pid), SIGKILL);
}

char* const kNoEnvironment[] = {nullptr};

}  // namespace

// --- The loop -----------------------------------------------------------------------------------

Error Init::Open(const InitOptions& options) {
  options_ = options;
  dir_fd_ = open(options.dir, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
  if (dir_fd_ < 0) return Error::FromErrno(kInvalidArgument, "%s", options.dir);

  signal(SIGPIPE, SIG_IGN);
  sigset_t watched;
  sigemptyset(&watched);
  sigaddset(&watched, SIGCHLD);
  sigaddset(&watched, SIGTERM);
  sigprocmask(SIG_SETMASK, &watched, nullptr);

  if (Error error = poller_.Open()) return error;
  const int signal_fd = signalfd(-1, &watched, SFD_NONBLOCK | SFD_CLOEXEC);
  if (signal_fd < 0) return Error::FromErrno(kInternal, "signalfd");
  signals_.Open(&poller_, signal_fd, Wake::kSignals, 0);
  signals_.WaitFor(EPOLLIN);
  if (options.target_pidfd >= 0) {
    target_.Open(&poller_, options.target_pidfd, Wake::kTarget, 0);
    target_.WaitFor(EPOLLIN);
  }

  if (options.mode == InitOptions::Mode::kRun) {
    RemoveExitFile(dir_fd_);
    if (Error error = log_.Open(dir_fd_)) return error;
  } else {
    // Without a PID namespace orphans would go to the host's init, out of reach of `end`.
    prctl(PR_SET_CHILD_SUBREAPER, 1);
  }
  return control_.Open(&poller_, options.socket_path);
}

void Init::Run() {
  while (!MayEnd()) {
    const Event event = poller_.Wait(TimeoutMs());
    switch (event.wake) {
      case Wake::kTimeout:
        break;
      case Wake::kListener:
        OnConnect();
        break;
      case Wake::kSignals:
        OnSignals();
        break;
      case Wake::kTarget:
        target_.Close();
        End();
        break;
      case Wake::kClient:
        OnClient(&clients_[event.index], event.events);
        break;
      case Wake::kStdin:
        OnInputRoom(event.index);
        break;
      case Wake::kStdout:
      case Wake::kStderr:
        OnOutput(event.index, event.wake);
        break;
    }
  }
  control_.Close();
}

void Init::OnConnect() {
  Client* client = FindFreeClient();
  // Further clients wait in the listener's queue, until one leaves.
  if (client == nullptr) return control_.AcceptMore(false);
  const int fd = control_.Accept();
  if (fd < 0) return;
  client->state = Client::State::kRequest;
  client->exec_spec_size = client->stdin_left = 0;
  client->stalled = client->foreground = false;
  client->stream.Open(&poller_, fd, IndexOf(client));
}

void Init::OnClient(Client* client, uint32_t events) {
  constexpr uint32_t kGone = EPOLLRDHUP | EPOLLHUP | EPOLLERR;
  if ((events & EPOLLOUT) != 0 && !client->stream.Flush()) return Drop(client);
  if (client->stalled) {
    if ((events & kGone) != 0) return Drop(client);
  } else if ((events & (EPOLLIN | kGone)) != 0) {
    if (!client->stream.Receive()) return Drop(client);
    TakeReceived(client);
  }
  if (client->state == Client::State::kAttached || client->state == Client::State::kExec) {
    Throttle(CommandIndexOf(client));
  }
}

void Init::OnSignals() {
  signalfd_siginfo info;
  while (read(signals_.fd(), &info, sizeof(info)) == sizeof(info)) {
    if (info.ssi_signo != SIGTERM) continue;
    // As for any process: the command may tidy up. Without one there is nothing to wait for.
    if (main_.running()) {
      main_.Signal(SIGTERM);
    } else {
      End();
    }
  }
  int wait_status;
  for (pid_t pid; (pid = waitpid(-1, &wait_status, WNOHANG)) > 0;) {
    OnChildEnd(pid, FromWaitStatus(wait_status));
  }
  // Those that the dead left behind are children of init now.
  if (phase_ == Phase::kEnding) KillOthers();
}

// --- Output to clients and to the log -----------------------------------------------------------

void Init::OnOutput(uint32_t index, Wake stream) {
  const ssize_t got = CommandAt(index).ReadOutput(stream, output_, sizeof(output_));
  if (got > 0) Deliver(index, stream, output_, static_cast<size_t>(got));
}

void Init::Deliver(uint32_t index, Wake stream, const void* bytes, size_t count) {
  const FrameKind kind = stream == Wake::kStderr ? FrameKind::kStderr : FrameKind::kStdout;
  if (index != kMainCommand) {
    SendFrame(&clients_[index], kind, bytes, count);
  } else {
    log_.Append(static_cast<uint8_t>(kind), bytes, count);
    for (Client& client : clients_) {
      if (client.state != Client::State::kAttached) continue;
      SendFrame(&client, kind, bytes, count);
      if (client.stream.waiting() > kMaxLagBytes) Drop(&client);
    }
  }
  Throttle(index);
}

void Init::DrainOutput(uint32_t index) {
  for (const Wake stream : {Wake::kStdout, Wake::kStderr}) {
    for (size_t total = 0; total < kMaxRestBytes;) {
      const ssize_t got = CommandAt(index).ReadOutput(stream, output_, sizeof(output_));
      if (got <= 0) break;
      Deliver(index, stream, output_, static_cast<size_t>(got));
      total += static_cast<size_t>(got);
    }
  }
}

// A command waits for the client that started it, and only for that one.
void Init::Throttle(uint32_t index) {
  bool wait = true;
  for (const Client& client : clients_) {
    const bool counts = client.state == Client::State::kExec ||
                        (client.state == Client::State::kAttached && client.foreground);
    if (counts && CommandIndexOf(&client) == index && client.stream.waiting() > kPauseBytes) {
      wait = false;
    }
  }
  CommandAt(index).WaitForOutput(wait);
}

// --- Clients ------------------------------------------------------------------------------------

Client* Init::FindFreeClient() {
  for (Client& client : clients_) {
    if (client.state == Client::State::kFree) return &client;
  }
  return nullptr;
}

uint32_t Init::IndexOf(const Client* client) const {
  return static_cast<uint32_t>(client - clients_);
}

uint32_t Init::CommandIndexOf(const Client* client) const {
  return client->state == Client::State::kAttached ? kMainCommand : IndexOf(client);
}

Command& Init::CommandAt(uint32_t index) {
  return index == kMainCommand ? main_ : clients_[index].command;
}

void Init::SendLine(Client* client, const char* line) {
  if (client->state == Client::State::kFree) return;
  if (!client->stream.SendLine(line)) Drop(client);
}

void Init::SendFrame(Client* client, FrameKind kind, const void* bytes, size_t count) {
  if (client->state == Client::State::kFree) return;
  if (!client->stream.SendFrame(kind, bytes, count)) Drop(client);
}

void Init::SendExit(Client* client, uint8_t code) {
  SendFrame(client, FrameKind::kExit, &code, sizeof(code));
  if (client->state != Client::State::kFree) Finish(client);
}

void Init::TellEnd(Client* watcher) {
  if (main_ended_) {
    char line[32];
    snprintf(line, sizeof(line), "exit %u %u", main_status_.code, main_status_.signal);
    SendLine(watcher, line);
  }
  if (watcher->state != Client::State::kFree) Finish(watcher);
}

void Init::Fail(Client* client, const Error& error) {
  char line[256];
  snprintf(line, sizeof(line), "error %s %s", error.code(), error.text());
  SendLine(client, line);
  if (client->state != Client::State::kFree) Finish(client);
}

void Init::FailFrames(Client* client, const char* reason) {
  SendFrame(client, FrameKind::kError, reason, strlen(reason));
  if (client->state == Client::State::kFree) return;
  HangUp(client);
  Finish(client);
}

// What a terminal does to its session when the line breaks.
void Init::HangUp(Client* client) {
  if (client->state != Client::State::kExec) return;
  client->command.Signal(SIGHUP);
  client->command.Signal(SIGCONT);
  client->command.Close();
}

void Init::Finish(Client* client) {
  client->state = Client::State::kFinished;
  client->stalled = false;
  client->stream.Finish();
}

void Init::Drop(Client* client) {
  HangUp(client);
  client->state = Client::State::kFree;
  client->stalled = false;
  client->stream.Close();
  control_.AcceptMore(true);
  // It may have been the one that the main command waited for.
  Throttle(kMainCommand);
}

// --- Commands, and the end ----------------------------------------------------------------------

SpawnResult Init::StartMain(Stdin standard_input) {
  const CommandSpec spec = {
      .argv = options_.argv,
      .environment = kNoEnvironment,
      .cwd = options_.cwd,
      .standard_input = standard_input,
      .terminal = options_.terminal,
      .size = main_size_,
      .dies_with_init = false,
  };
  phase_ = Phase::kRunning;
  main_started_at_ms_ = NowMs(CLOCK_REALTIME);
  const SpawnResult result = main_.Spawn(&poller_, spec, kMainCommand);
  if (!result.error) return result;

  // The sandbox ends as if the command had; its log says why.
  const char* text = result.error.text();
  log_.Append(static_cast<uint8_t>(FrameKind::kStderr), text, strlen(text));
  for (Client& client : clients_) {
    if (client.state == Client::State::kAttached) {
      SendFrame(&client, FrameKind::kError, text, strlen(text));
    }
  }
  OnMainEnd({result.exit_code, 0});
  return result;
}

void Init::OnChildEnd(pid_t pid, ExitStatus status) {
  if (pid == main_.pid()) return OnMainEnd(status);
  for (uint32_t index = 0; index < kMaxClients; ++index) {
    Client& client = clients_[index];
    if (client.state != Client::State::kExec || client.command.pid() != pid) continue;
    DrainOutput(index);
    client.command.Close();
    return SendExit(&client, status.code);
  }
}

void Init::OnMainEnd(ExitStatus status) {
  DrainOutput(kMainCommand);
  main_.Close();
  main_ended_ = true;
  main_status_ = status;
  // Before anybody is told: who hears of the end finds the file.
  WriteExitFile(dir_fd_, status, main_started_at_ms_, NowMs(CLOCK_REALTIME));

  for (Client& client : clients_) {
    if (client.state == Client::State::kAttached) SendExit(&client, status.code);
  }
  KillOthers();
  BeginEnding();
}

void Init::End() {
  if (phase_ == Phase::kEnding) return;
  KillOthers();
  // A running command ends the usual way: it is reaped, and its end is written down.
  if (!main_.running()) BeginEnding();
}

void Init::KillOthers() const {
  if (options_.mode == InitOptions::Mode::kHold) return KillChildren();
  // Outside a PID namespace this would kill the host.
  if (getpid() == 1) kill(-1, SIGKILL);
}

void Init::BeginEnding() {
  phase_ = Phase::kEnding;
  // Before anybody is told: who hears of the end, and has closed its own descriptors, may use the
  // interfaces' names again. The kernel takes some ten milliseconds for the last descriptor of one,
  // which a daemon with others to serve had better spend here.
  taps_.CloseAll();
  dns_.CloseAll();
  if (target_.is_open()) resolv_conf_.UnmountFor(target_.fd());
  ending_deadline_ms_ = NowMs(CLOCK_MONOTONIC) + kEndingMs;
  for (Client& client : clients_) {
    if (client.state == Client::State::kWatch) TellEnd(&client);
    // Attached to a command that was never started.
    if (client.state == Client::State::kAttached) Finish(&client);
    if (client.state == Client::State::kFree) continue;
    // A slow reader gets everything, without init having to wait for it.
    client.stream.HandOver();
    if (!client.stream.Flush()) Drop(&client);
  }
}

bool Init::MayEnd() const {
  if (phase_ != Phase::kEnding) return false;
  if (NowMs(CLOCK_MONOTONIC) >= ending_deadline_ms_) return true;
  for (const Client& client : clients_) {
    // Who has not asked for anything is not waited for.
    if (client.state != Client::State::kFree && client.state != Client::State::kRequest) {
      return false;
    }
  }
  return !HasChildren();
}

int Init::TimeoutMs() const {
  if (phase_ != Phase::kEnding) return -1;
  const uint64_t now_ms = NowMs(CLOCK_MONOTONIC);
  return now_ms < ending_deadline_ms_ ? static_cast<int>(ending_deadline_ms_ - now_ms) : 0;
}

}  // namespace weft
