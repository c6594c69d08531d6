#include "connector.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "clock.h"
#include "failure.h"
#include "report.h"

namespace weft {

namespace {

constexpr int kEvents = 256;
constexpr int kTickMs = 20;
// A lost SYN is sent again after one second, and once more after three.
constexpr uint64_t kSlowNs = 3 * kNsPerSecond;

int BeginConnection(const Address& to) {
  const int fd = socket(to.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  PinCongestionControl(fd);
  if (connect(fd, to.get(), to.length) == 0 || errno == EINPROGRESS) return fd;
  close(fd);
  return -1;
}

int ErrorOf(int fd) {
  int error = 0;
  socklen_t length = sizeof(error);
  getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
  return error;
}

}  // namespace

Connector::Connector(const ConnectOptions& options)
    : options_(options), slots_(options.concurrency) {}

Connector::~Connector() {
  for (const Slot& slot : slots_) {
    if (slot.fd >= 0) close(slot.fd);
  }
  if (epoll_ >= 0) close(epoll_);
}

int Connector::Run() {
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  if (epoll_ < 0) return FailWithErrno("epoll");
  if (!AwaitListeners()) return Fail("nobody listens; start `weft-flood accept` there");
  const uint64_t start = NowNs();
  const uint64_t until =
      start + static_cast<uint64_t>(options_.seconds * static_cast<double>(kNsPerSecond));
  uint64_t now = start;
  epoll_event events[kEvents];
  while (now < until && stop_asked == 0) {
    for (uint32_t slot = 0; slot < slots_.size(); slot++) {
      if (slots_[slot].fd < 0) Begin(slot, now);
    }
    const int count = epoll_wait(epoll_, events, kEvents, kTickMs);
    now = NowNs();
    for (int i = 0; i < count; i++) Proceed(events[i].data.u32, events[i].events, now);
    if (count < kEvents) GiveUpSlow(now);
  }
  PrintReport(now - start);
  return done_ == 0 ? Fail("no connection was made") : kDone;
}

// Connections more than are counted: the listeners there, the neighbours known.
bool Connector::AwaitListeners() {
  const uint64_t until = NowNs() + options_.wait_ms * kNsPerMs;
  uint32_t in_a_row = 0;
  while (NowNs() < until && stop_asked == 0) {
    const int fd = BeginConnection(options_.to);
    if (fd < 0) return false;
    pollfd waiting{fd, POLLOUT, 0};
    const bool ready = poll(&waiting, 1, 1000) == 1 && ErrorOf(fd) == 0;
    close(fd);
    in_a_row = ready ? in_a_row + 1 : 0;
    if (in_a_row == options_.listeners) return true;
    if (ready) continue;
    SleepUntilNs(NowNs() + kTickMs * kNsPerMs);
  }
  return false;
}

void Connector::Begin(uint32_t slot, uint64_t now_ns) {
  const int fd = BeginConnection(options_.to);
  if (fd < 0) {
    failed_++;  // no free port: there may be one at the next turn
    return;
  }
  epoll_event event{};
  event.events = EPOLLOUT;
  event.data.u32 = slot;
  epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event);
  slots_[slot] = {fd, false, now_ns};
}

void Connector::Proceed(uint32_t number, uint32_t events, uint64_t now_ns) {
  Slot& slot = slots_[number];
  if ((events & (EPOLLERR | EPOLLHUP)) != 0) {
    End(number, true);
    return;
  }
  char byte = 'w';
  if (!slot.asked) {
    if (send(slot.fd, &byte, 1, MSG_NOSIGNAL) != 1) {
      End(number, true);
      return;
    }
    slot.asked = true;
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u32 = number;
    epoll_ctl(epoll_, EPOLL_CTL_MOD, slot.fd, &event);
    return;
  }
  const bool answered = recv(slot.fd, &byte, 1, 0) == 1;
  if (answered) {
    done_++;
    latency_.Add(now_ns - slot.began_ns);
  }
  End(number, !answered);
}

void Connector::End(uint32_t number, bool failed) {
  if (failed) failed_++;
  close(slots_[number].fd);
  slots_[number].fd = -1;
}

void Connector::GiveUpSlow(uint64_t now_ns) {
  for (uint32_t number = 0; number < slots_.size(); number++) {
    const Slot& slot = slots_[number];
    if (slot.fd < 0 || now_ns - slot.began_ns < kSlowNs) continue;
    timed_out_++;
    End(number, true);
  }
}

void Connector::PrintReport(uint64_t elapsed_ns) const {
  const auto elapsed = static_cast<double>(elapsed_ns);
  Report report("connect");
  report.Add("connections", done_);
  report.Add("failed", failed_);
  report.Add("timedOut", timed_out_);
  report.Add("concurrency", slots_.size());
  report.AddNumber("elapsedMs", elapsed / 1e6);
  report.AddNumber("perSecond", elapsed > 0 ? static_cast<double>(done_) * 1e9 / elapsed : 0);
  report.AddLatency("latencyUs", latency_);
  report.Print();
}

}  // namespace weft
