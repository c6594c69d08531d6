#include "../binding/program_starter.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <ctime>
#include <string>
#include <vector>

#include "../kept_descriptors.h"

namespace weft {

namespace {

// Above all that the program is given: one that is to be copied is not overwritten before.
constexpr int kFirstFree = kFirstKeptDescriptor + kMostKept;

int64_t NowMs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
}

std::vector<std::string> ToStrings(const Napi::Array& array) {
  std::vector<std::string> strings;
  for (uint32_t i = 0; i < array.Length(); i++) {
    strings.push_back(array.Get(i).As<Napi::String>().Utf8Value());
  }
  return strings;
}

std::vector<char*> ToPointers(std::vector<std::string>* strings) {
  std::vector<char*> pointers;
  for (std::string& string : *strings) pointers.push_back(string.data());
  pointers.push_back(nullptr);
  return pointers;
}

class ProgramStarter : public Napi::AsyncWorker {
 public:
  explicit ProgramStarter(const Napi::CallbackInfo& info)
      : AsyncWorker(info.Env()),
        deferred_(Napi::Promise::Deferred::New(info.Env())),
        path_(info[0].As<Napi::String>().Utf8Value()),
        argv_(ToStrings(info[1].As<Napi::Array>())),
        own_environment_(info[2].IsNull()),
        patience_ms_(info[4].As<Napi::Number>().Int32Value()) {
    if (!own_environment_) environment_ = ToStrings(info[2].As<Napi::Array>());
    const auto keep = info[3].As<Napi::Array>();
    // Copies: the daemon may close its own before this has its turn.
    for (uint32_t i = 0; i < keep.Length(); i++) {
      const int fd = keep.Get(i).As<Napi::Number>().Int32Value();
      keep_.push_back(fcntl(fd, F_DUPFD_CLOEXEC, kFirstFree));
    }
  }
  ~ProgramStarter() override {
    for (const int fd : keep_) close(fd);
  }

  Napi::Promise promise() { return deferred_.Promise(); }

  void Execute() override {
    errno_ = Run();
    if (errno_ != 0) SetError(std::string(strerrorname_np(errno_)) + ": " + strerror(errno_));
  }

  void OnOK() override { deferred_.Resolve(Napi::String::New(Env(), report_)); }
  void OnError(const Napi::Error& error) override {
    error.Set("code", Napi::String::New(Env(), strerrorname_np(errno_)));
    deferred_.Reject(error.Value());
  }

 private:
  // 0, or an errno.
  int Run() {
    int ready[2];
    if (pipe2(ready, O_CLOEXEC) != 0) return errno;
    const int write_end = fcntl(ready[1], F_DUPFD_CLOEXEC, kFirstFree);
    close(ready[1]);
    pid_t pid = -1;
    int why = write_end < 0 ? errno : Spawn(write_end, &pid);
    if (write_end >= 0) close(write_end);
    if (why == 0) {
      why = ReadReport(ready[0]);
      // Without a launcher to report to, an init that is still on its way gives up.
      if (why != 0) kill(pid, SIGKILL);
    }
    close(ready[0]);
    if (pid > 0) {
      while (waitpid(pid, nullptr, 0) < 0 && errno == EINTR) continue;
    }
    return why;
  }

  // The child shares our memory until it has become the other program, and this thread, no other,
  // waits for that (CLONE_VM, CLONE_VFORK in glibc since 2.24): there is nothing to copy.
  int Spawn(int write_end, pid_t* pid) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    for (int fd = 0; fd <= 2; fd++) {
      posix_spawn_file_actions_addopen(&actions, fd, "/dev/null", O_RDWR, 0);
    }
    posix_spawn_file_actions_adddup2(&actions, write_end, kReadyDescriptor);
    for (size_t i = 0; i < keep_.size(); i++) {
      posix_spawn_file_actions_adddup2(&actions, keep_[i],
                                       kFirstKeptDescriptor + static_cast<int>(i));
    }
    sigset_t none;
    sigset_t all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setflags(&attributes,
                             POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    const std::vector<char*> argv = ToPointers(&argv_);
    const std::vector<char*> environment = ToPointers(&environment_);
    const int why = posix_spawn(pid, path_.c_str(), &actions, &attributes, argv.data(),
                                own_environment_ ? environ : environment.data());
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    if (why != 0) *pid = -1;
    return why;
  }

  int ReadReport(int fd) {
    const int64_t deadline_ms = NowMs() + patience_ms_;
    for (;;) {
      const int64_t left_ms = deadline_ms - NowMs();
      pollfd wait = {fd, POLLIN, 0};
      const int count = left_ms <= 0 ? 0 : poll(&wait, 1, static_cast<int>(left_ms));
      if (count == 0) return ETIMEDOUT;
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return errno;
      char bytes[512];
      const ssize_t got = read(fd, bytes, sizeof(bytes));
      if (got == 0) return 0;
      if (got < 0) return errno;
      report_.append(bytes, static_cast<size_t>(got));
    }
  }

  Napi::Promise::Deferred deferred_;
  const std::string path_;
  std::vector<std::string> argv_;
  const bool own_environment_;
  std::vector<std::string> environment_;
  std::vector<int> keep_;
  const int patience_ms_;
  std::string report_;
  int errno_ = 0;
};

}  // namespace

Napi::Value StartProgram(const Napi::CallbackInfo& info) {
  auto* starter = new ProgramStarter(info);
  const Napi::Promise promise = starter->promise();
  starter->Queue();
  return promise;
}

}  // namespace weft
