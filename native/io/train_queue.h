// Datagrams to other hosts, gathered into trains: a train is what one sendmsg with UDP_SEGMENT
// sends.
//
// The kernel cuts what it is given into datagrams of one size; the last may be smaller. So a train
// is datagrams of equal size to one VTEP from one source port with one TOS: the segments of a
// superframe, or small frames of equal size that were read in one batch. Nothing is copied: a train
// is a list of where its bytes are.
//
// A flow keeps its order: it always leaves by the same source port, only the last train of a source
// port is added to, and trains of one source port are sent in the order in which they began.

#ifndef WEFT_IO_TRAIN_QUEUE_H_
#define WEFT_IO_TRAIN_QUEUE_H_

#include <sys/uio.h>

#include <cstdint>
#include <memory>

#include "../io/segment.h"
#include "../io/source_ports.h"
#include "../tables/rows.h"

namespace weft {

// UDP_MAX_SEGMENTS of Linux; older ones take 64 (before 6.9), and refuse what is more.
inline constexpr uint32_t kMaxTrain = 128;
// With the outer headers it has to stay below 65,536 (GSO_LEGACY_MAX_SIZE), or it is cut in
// software on its way out: 65,493 of payload stay whole, 65,494 do not.
inline constexpr uint32_t kMaxTrainBytes = 65493;

struct Train {
  VtepAddress vtep;
  uint32_t source_port_index;
  uint8_t tos;
  uint32_t segment;  // bytes of each datagram but the last
  uint32_t count;
  uint32_t bytes;
  uint32_t part_count;
  int next;  // of the same source port; -1: none

  // A head and a body for each.
  iovec parts[2 * kMaxTrain];
};

class TrainQueue {
 public:
  static constexpr int kTrains = 64;

  TrainQueue();

  // Whether one datagram more finds room, whatever it is.
  bool HasRoom() const;
  // Of datagrams in a train, where the kernel takes fewer.
  void set_most(uint32_t most) { most_ = most; }

  // Scratch for one head, kMaxHead bytes; what Add() is not given of it is free again.
  uint8_t* NextHead() { return heads_.get() + heads_used_; }
  void Add(const Datagram& datagram, VtepAddress vtep, uint32_t source_port_index, uint8_t tos);

  // Source ports in the order in which they were first used, each with its trains in order.
  template <typename Body>
  void ForEachSourcePort(Body body) {
    for (int i = 0; i < used_ports_; i++) body(port_order_[i], first_[port_order_[i]]);
  }
  Train& at(int index) { return trains_[index]; }

  void Clear();

 private:
  static constexpr uint32_t kHeadBytes = 32 * 1024;

  Train* Begin(const Datagram& datagram, VtepAddress vtep, uint32_t source_port_index, uint8_t tos);

  bool Fits(const Train& train, uint32_t length, VtepAddress vtep, uint8_t tos) const;

  uint32_t most_ = kMaxTrain;
  std::unique_ptr<Train[]> trains_;
  int count_ = 0;
  std::unique_ptr<uint8_t[]> heads_;
  uint32_t heads_used_ = 0;

  // Of each source port: its first and its last train, -1 for none.
  int first_[SourcePorts::kPorts];
  int last_[SourcePorts::kPorts];
  uint32_t port_order_[SourcePorts::kPorts];
  int used_ports_ = 0;
};

}  // namespace weft

#endif  // WEFT_IO_TRAIN_QUEUE_H_
