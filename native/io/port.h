// A local endpoint's end of the dataplane: frames in, frames out. TapPort is the real one,
// MemoryPort its twin.

#ifndef WEFT_IO_PORT_H_
#define WEFT_IO_PORT_H_

#include <atomic>
#include <cstdint>

#include "../pipeline/icmp_budget.h"
#include "../tables/rows.h"
#include "../wire/frame.h"

namespace weft {

class Port {
 public:
  Port(PortId id, int worker) : id(id), worker(worker) {}
  virtual ~Port() = default;
  Port(const Port&) = delete;
  Port& operator=(const Port&) = delete;

  enum class ReadResult : uint8_t { kFrame, kEmpty, kBad, kGone };
  // Reads one frame into `buffer` (kBufferSize bytes): its bytes begin at kHeadroom. kBad: a frame
  // came but its offload metadata is not of a kind that was asked for.
  virtual ReadResult Read(uint8_t* buffer, uint32_t* length, Offload* offload) = 0;

  enum class WriteResult : uint8_t { kOk, kFull, kDown, kRefused };
  virtual WriteResult Write(const Frame& frame) = 0;

  // The descriptor that becomes readable when there is a frame; -1 for none.
  virtual int descriptor() const = 0;

  const PortId id;
  const int worker;  // the worker that reads it, and the only one that writes to it

  // Owned by that worker.
  IcmpBudget icmp_budget;
  // How many frames it gave when it was last readable, and in which turn of the worker that was.
  uint64_t last_turn = 0;
  int last_frames = 1;

  // Written by that worker, read by anybody.
  struct Traffic {
    std::atomic<uint64_t> rx_frames{0};  // sent by the endpoint
    std::atomic<uint64_t> rx_bytes{0};
    std::atomic<uint64_t> tx_frames{0};  // delivered to the endpoint
    std::atomic<uint64_t> tx_bytes{0};
    std::atomic<uint64_t> dropped{0};  // on the way to it
  } traffic;
};

}  // namespace weft

#endif  // WEFT_IO_PORT_H_
