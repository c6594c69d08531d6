// Frames handed over to the worker that owns their local endpoint.
//
// Many senders, one receiver; bounded, so that a worker that is behind costs its own frames and not
// the process's memory. The receiver takes all that is there in one turn.

#ifndef WEFT_MAILBOX_H_
#define WEFT_MAILBOX_H_

#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdint>
#include <mutex>
#include <vector>

#include "tables/rows.h"
#include "wire/frame.h"

namespace weft {

class Mailbox {
 public:
  struct Item {
    PortId port;
    Offload offload;
    uint32_t datagrams;
    std::vector<uint8_t> buffer;  // kHeadroom bytes, then the frame
  };

  // 16 MB: 250 superframes or 10,000 full frames.
  static constexpr size_t kMostBytes = 16 << 20;

  Mailbox() : event_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}
  ~Mailbox() { close(event_); }
  Mailbox(const Mailbox&) = delete;
  Mailbox& operator=(const Mailbox&) = delete;

  int descriptor() const { return event_; }

  // False: full, the frame is the sender's to drop.
  bool Put(PortId port, const Frame& frame) {
    Item item{port, frame.offload, frame.datagrams, {}};
    item.buffer.reserve(kHeadroom + frame.length());
    item.buffer.resize(kHeadroom);
    frame.AppendTo(&item.buffer);
    bool was_empty;
    {
      std::lock_guard lock(mutex_);
      if (bytes_ + item.buffer.size() > kMostBytes) return false;
      bytes_ += item.buffer.size();
      was_empty = items_.empty();
      items_.push_back(std::move(item));
    }
    if (was_empty) Wake();
    return true;
  }

  void Wake() {
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = write(event_, &one, sizeof(one));
  }

  // Swaps what has arrived into `items` (emptied first) and rearms the event.
  void TakeAll(std::vector<Item>* items) {
    uint64_t count;
    [[maybe_unused]] const ssize_t got = read(event_, &count, sizeof(count));
    items->clear();
    std::lock_guard lock(mutex_);
    items->swap(items_);
    bytes_ = 0;
  }

 private:
  const int event_;
  std::mutex mutex_;
  std::vector<Item> items_;
  size_t bytes_ = 0;
};

}  // namespace weft

#endif  // WEFT_MAILBOX_H_
