// Makes TCP connections one after the other, several at a time: connect, a byte there and back,
// close.
#ifndef WEFT_BENCH_CONNECTOR_H_
#define WEFT_BENCH_CONNECTOR_H_

#include <cstdint>
#include <vector>

#include "address.h"
#include "latency_histogram.h"

namespace weft {

struct ConnectOptions {
  Address to;
  double seconds = 1;
  uint32_t concurrency = 16;
  uint32_t listeners = 1;   // of a VIP that takes them in turn
  uint64_t wait_ms = 5000;  // until all of them listen
};

class Connector {
 public:
  explicit Connector(const ConnectOptions& options);
  ~Connector();

  // Waits for the listener, connects, reports. Gives the exit status.
  int Run();

 private:
  // One of those that are under way at a time.
  struct Slot {
    int fd = -1;
    bool asked = false;  // its byte is under way
    uint64_t began_ns = 0;
  };

  bool AwaitListeners();
  void Begin(uint32_t slot, uint64_t now_ns);
  void Proceed(uint32_t slot, uint32_t events, uint64_t now_ns);
  void End(uint32_t slot, bool failed);
  void GiveUpSlow(uint64_t now_ns);
  void PrintReport(uint64_t elapsed_ns) const;

  const ConnectOptions options_;
  int epoll_ = -1;
  std::vector<Slot> slots_;
  uint64_t done_ = 0;
  uint64_t failed_ = 0;
  uint64_t timed_out_ = 0;
  LatencyHistogram latency_;
};

}  // namespace weft

#endif  // WEFT_BENCH_CONNECTOR_H_
