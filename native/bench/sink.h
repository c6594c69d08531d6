// Receives what a sender sends and says what became of it: lost, twice, late, changed, how long
// under way.
#ifndef WEFT_BENCH_SINK_H_
#define WEFT_BENCH_SINK_H_

#include <sys/socket.h>

#include <cstdint>
#include <vector>

#include "latency_histogram.h"
#include "sequence_window.h"

namespace weft {

struct SinkOptions {
  uint16_t port = 0;
  uint64_t idle_ms = 500;     // ends when nothing has come for so long
  uint64_t wait_ms = 10'000;  // for the first datagram
  uint64_t most_ms = 900'000;
  uint32_t expect_flows = 0;  // fewer are a failure; 0: any
  bool progress = false;
};

class Sink {
 public:
  explicit Sink(const SinkOptions& options);
  ~Sink();

  // Receives, reports. Gives the exit status.
  int Run();

 private:
  bool Open();
  void ReceiveAll();
  void Take(const uint8_t* bytes, size_t length, const msghdr& from, uint64_t now_ns);
  void PrintProgress(uint64_t now_ns);
  void PrintReport() const;
  uint64_t Sum(uint64_t (SequenceWindow::*count)() const) const;

  const SinkOptions options_;
  int fd_ = -1;
  std::vector<SequenceWindow> flows_;
  LatencyHistogram latency_;
  uint64_t bytes_ = 0;
  uint64_t corrupted_ = 0;
  uint64_t foreign_ = 0;
  uint64_t hellos_ = 0;
  uint64_t first_ns_ = 0;
  uint64_t last_ns_ = 0;
  uint64_t next_progress_ns_ = 0;
};

}  // namespace weft

#endif  // WEFT_BENCH_SINK_H_
