// What init waits on: one epoll instance, and descriptors that know what they wait for.
#ifndef WEFT_INIT_POLLER_H_
#define WEFT_INIT_POLLER_H_

#include <stdint.h>

#include "error.h"

namespace weft {

// Everything that can wake init.
enum class Wake : uint32_t {
  kTimeout,   // nothing happened in time
  kListener,  // a client connects
  kSignals,   // a child ended, or init is told to stop
  kTarget,    // the process whose namespace is held ended
  kClient,    // a client's socket; index: which client
  kStdin,     // a command takes input again; index: whose, also below
  kStdout,    // a command wrote, or closed
  kStderr,
};

struct Event {
  Wake wake;
  uint32_t index;
  uint32_t events;  // EPOLLIN and so on
};

class Poller {
 public:
  Error Open();

  // One event at a time: whatever its handler closes cannot turn up in the same batch again.
  Event Wait(int timeout_ms);

 private:
  friend class Watched;
  int fd_ = -1;
};

// A descriptor in the poller. Closing is explicit: its holders are slots that are used again.
class Watched {
 public:
  // Takes `fd` over; nothing is waited for yet.
  void Open(Poller* poller, int fd, Wake wake, uint32_t index);

  // With 0 the descriptor leaves the poller, as EPOLLHUP cannot be masked otherwise.
  void WaitFor(uint32_t events);

  void Close();

  bool is_open() const { return fd_ >= 0; }
  int fd() const { return fd_; }

 private:
  Poller* poller_ = nullptr;
  int fd_ = -1;
  Wake wake_ = Wake::kTimeout;
  uint32_t index_ = 0;
  uint32_t events_ = 0;
};

}  // namespace weft

#endif  // WEFT_INIT_POLLER_H_
