// Closes ports that no worker looks at any more, on a thread of its own.
//
// The last descriptor of a TAP takes its interface with it, and for that the kernel waits for grace
// periods: 20 to 35 ms in close(). That is nothing to do on Node's thread, where every other
// request would wait, too.

#ifndef WEFT_CLOSER_H_
#define WEFT_CLOSER_H_

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>

#include "io/port.h"

namespace weft {

class Closer {
 public:
  Closer() = default;
  Closer(const Closer&) = delete;
  Closer& operator=(const Closer&) = delete;
  ~Closer();

  void Take(std::unique_ptr<Port> port);

  // How many are not closed yet.
  size_t pending();

  // Returns when all are closed.
  void Wait();

 private:
  void Run();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::unique_ptr<Port>> ports_;
  size_t pending_ = 0;  // those in ports_, and the one that is being closed
  bool ending_ = false;
  std::thread thread_;  // from the first port on
};

}  // namespace weft

#endif  // WEFT_CLOSER_H_
