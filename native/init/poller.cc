// What init waits on: epoll.
#include "poller.h"

#include <sys/epoll.h>
#include <unistd.h>

namespace weft {

Error Poller::Open() {
  fd_ = epoll_create1(EPOLL_CLOEXEC);
  if (fd_ < 0) return Error::FromErrno(kInternal, "epoll_create1");
  return {};
}

Event Poller::Wait(int timeout_ms) {
  epoll_event event;
  if (epoll_wait(fd_, &event, 1, timeout_ms) != 1) return {Wake::kTimeout, 0, 0};
  return {static_cast<Wake>(event.data.u64 >> 32), static_cast<uint32_t>(event.data.u64),
          event.events};
}

void Watched::Open(Poller* poller, int fd, Wake wake, uint32_t index) {
  poller_ = poller;
  fd_ = fd;
  wake_ = wake;
  index_ = index;
  events_ = 0;
}

void Watched::WaitFor(uint32_t events) {
  if (fd_ < 0 || events == events_) return;
  epoll_event event = {};
  event.events = events;
  event.data.u64 = static_cast<uint64_t>(wake_) << 32 | index_;
  const int operation = events == 0 ? EPOLL_CTL_DEL : events_ == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
  epoll_ctl(poller_->fd_, operation, fd_, &event);
  events_ = events;
}

void Watched::Close() {
  if (fd_ < 0) return;
  WaitFor(0);
  close(fd_);
  fd_ = -1;
}

}  // namespace weft
