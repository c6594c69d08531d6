// Sends numbered datagrams in several flows at a rate, or as fast as the kernel takes them.
#ifndef WEFT_BENCH_SENDER_H_
#define WEFT_BENCH_SENDER_H_

#include <sys/socket.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "address.h"

namespace weft {

struct SendOptions {
  Address to;
  size_t bytes = 64;        // UDP payload
  double rate = 0;          // datagrams a second, all flows together; 0: as fast as possible
  double seconds = 0;       // 0: until `packets`
  uint64_t packets = 0;     // all flows together; 0: until `seconds`
  uint32_t flows = 1;       // each has a source port of its own
  uint32_t burst = 16;      // at most this many of a flow at once
  uint64_t wait_ms = 5000;  // for the sink's answer
  bool progress = false;
};

// A rate is kept by the clock: what is due is sent, at most `burst` in one system call. A sender
// that was kept from running makes up for at most kCatchUpNs; what was due before that is counted
// as skipped, because a torrent would measure the queues and not the rate.
class Sender {
 public:
  explicit Sender(const SendOptions& options);
  ~Sender();

  // Greets the sink, sends, reports. Gives the exit status.
  int Run();

 private:
  struct Flow {
    int fd;
    uint64_t next_sequence;
  };

  bool Open();
  bool Greet();
  // Takes the answers that are there.
  void TakeAnswers();
  bool SendAll();
  // How many may be sent now; 0 after a sleep.
  uint32_t WaitForDue(uint64_t now_ns);
  // False when nothing can be sent any more.
  bool SendBurst(Flow* flow, uint32_t flow_number, uint32_t count);
  bool Overcome(int error);
  void PrintProgress(uint64_t now_ns);
  void PrintReport() const;

  const SendOptions options_;
  std::vector<Flow> flows_;
  std::vector<uint8_t> buffers_;
  std::vector<struct iovec> parts_;
  std::vector<struct mmsghdr> messages_;
  uint64_t start_ns_ = 0;
  uint64_t end_ns_ = 0;
  uint64_t sent_ = 0;
  uint64_t hellos_ = 0;
  uint64_t answers_ = 0;
  uint64_t skipped_ = 0;
  uint64_t refused_ = 0;
  uint64_t refused_in_a_row_ = 0;
  uint64_t next_progress_ns_ = 0;
};

}  // namespace weft

#endif  // WEFT_BENCH_SENDER_H_
