#include "accepter.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "address.h"
#include "clock.h"
#include "failure.h"
#include "report.h"

namespace weft {

namespace {

constexpr int kBacklog = 4096;
constexpr int kEvents = 256;
constexpr int kTickMs = 20;

bool Watch(int epoll, int fd) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = fd;
  return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

}  // namespace

Accepter::~Accepter() {
  if (listener_ >= 0) close(listener_);
  if (epoll_ >= 0) close(epoll_);
}

int Accepter::Run() {
  if (!Open()) return FailWithErrno("cannot listen on the port");
  const uint64_t began = NowNs();
  epoll_event events[kEvents];
  while (stop_asked == 0) {
    const int count = epoll_wait(epoll_, events, kEvents, kTickMs);
    const uint64_t now = NowNs();
    for (int i = 0; i < count; i++) {
      if (events[i].data.fd == listener_) {
        AcceptAll(now);
      } else {
        Serve(events[i].data.fd);
      }
    }
    if (now - began > options_.most_ms * kNsPerMs) break;
    const bool quiet = accepted_ == 0 ? now - began > options_.wait_ms * kNsPerMs
                                      : now - last_ns_ > options_.idle_ms * kNsPerMs;
    if (quiet) break;
  }
  Report report("accept");
  report.Add("accepted", accepted_);
  report.Add("answered", answered_);
  report.Print();
  return accepted_ == 0 ? Fail("no connection came") : kDone;
}

bool Accepter::Open() {
  listener_ = BindAnywhere(SOCK_STREAM | SOCK_NONBLOCK, options_.port);
  if (listener_ >= 0) PinCongestionControl(listener_);  // what it accepts inherits it
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  return listener_ >= 0 && epoll_ >= 0 && listen(listener_, kBacklog) == 0 &&
         Watch(epoll_, listener_);
}

void Accepter::AcceptAll(uint64_t now_ns) {
  for (;;) {
    const int fd = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    accepted_++;
    last_ns_ = now_ns;
    if (!Watch(epoll_, fd)) close(fd);
  }
}

void Accepter::Serve(int fd) {
  char byte;
  const ssize_t got = recv(fd, &byte, 1, 0);
  if (got == 1 && send(fd, &byte, 1, MSG_NOSIGNAL) == 1) {
    answered_++;
  } else if (got >= 0 || errno != EAGAIN) {
    close(fd);  // the client closes first
  }
}

}  // namespace weft
