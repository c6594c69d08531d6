#include "../io/train_queue.h"

#include <algorithm>

namespace weft {

TrainQueue::TrainQueue() : trains_(new Train[kTrains]), heads_(new uint8_t[kHeadBytes]) {
  std::fill(std::begin(first_), std::end(first_), -1);
  std::fill(std::begin(last_), std::end(last_), -1);
}

bool TrainQueue::HasRoom() const {
  return count_ < kTrains && heads_used_ + kMaxHead <= kHeadBytes;
}

void TrainQueue::Add(const Datagram& datagram, VtepAddress vtep, uint32_t source_port_index,
                     uint8_t tos) {
  if (datagram.head == NextHead()) heads_used_ += (datagram.head_length + 15u) & ~15u;
  const uint32_t length = datagram.head_length + datagram.body_length;
  Train* train = nullptr;
  if (const int last = last_[source_port_index]; last >= 0) train = &trains_[last];
  if (train == nullptr || !Fits(*train, length, vtep, tos)) {
    train = Begin(datagram, vtep, source_port_index, tos);
  }
  train->count++;
  train->bytes += length;
  train->parts[train->part_count++] = {datagram.head, datagram.head_length};
  if (datagram.body_length == 0) return;
  if (datagram.body == datagram.head + datagram.head_length) {
    train->parts[train->part_count - 1].iov_len = length;
    return;
  }
  train->parts[train->part_count++] = {const_cast<uint8_t*>(datagram.body), datagram.body_length};
}

bool TrainQueue::Fits(const Train& train, uint32_t length, VtepAddress vtep, uint8_t tos) const {
  const bool last_is_whole = train.bytes == train.count * train.segment;
  return last_is_whole && length <= train.segment && train.vtep == vtep && train.tos == tos &&
         train.count < most_ && train.bytes + length <= kMaxTrainBytes;
}

Train* TrainQueue::Begin(const Datagram& datagram, VtepAddress vtep, uint32_t source_port_index,
                         uint8_t tos) {
  const int index = count_++;
  Train& train = trains_[index];
  train.vtep = vtep;
  train.source_port_index = source_port_index;
  train.tos = tos;
  train.segment = datagram.head_length + datagram.body_length;
  train.count = 0;
  train.bytes = 0;
  train.part_count = 0;
  train.next = -1;
  int& last = last_[source_port_index];
  if (last >= 0) {
    trains_[last].next = index;
  } else {
    first_[source_port_index] = index;
    port_order_[used_ports_++] = source_port_index;
  }
  last = index;
  return &train;
}

void TrainQueue::Clear() {
  for (int i = 0; i < used_ports_; i++) first_[port_order_[i]] = last_[port_order_[i]] = -1;
  used_ports_ = 0;
  count_ = 0;
  heads_used_ = 0;
}

}  // namespace weft
