// A bounded queue of bytes: a mapping with a head and a tail.
#include "byte_queue.h"

#include <string.h>
#include <sys/mman.h>

namespace weft {
namespace {

// An idle queue keeps this much: enough for requests and for somebody typing.
constexpr size_t kKeptBytes = 4096;

}  // namespace

bool ByteQueue::Map() {
  if (bytes_ != nullptr) return true;
  void* mapping = mmap(nullptr, capacity_, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapping == MAP_FAILED) return false;
  bytes_ = static_cast<uint8_t*>(mapping);
  return true;
}

bool ByteQueue::Append(const void* bytes, size_t count) {
  if (count > capacity_ - size() || !Map()) return false;
  if (count > capacity_ - tail_) {
    memmove(bytes_, bytes_ + head_, size());
    tail_ -= head_;
    head_ = 0;
  }
  memcpy(bytes_ + tail_, bytes, count);
  tail_ += count;
  return true;
}

uint8_t* ByteQueue::Room(size_t* count) {
  if (!Map()) {
    *count = 0;
    return nullptr;
  }
  if (head_ > 0) {
    memmove(bytes_, bytes_ + head_, size());
    tail_ -= head_;
    head_ = 0;
  }
  *count = capacity_ - tail_;
  return bytes_ + tail_;
}

void ByteQueue::Consume(size_t count) {
  head_ += count;
  if (head_ < tail_) return;
  if (tail_ > kKeptBytes) madvise(bytes_ + kKeptBytes, capacity_ - kKeptBytes, MADV_DONTNEED);
  head_ = tail_ = 0;
}

void ByteQueue::Free() {
  if (bytes_ != nullptr) munmap(bytes_, capacity_);
  bytes_ = nullptr;
  head_ = tail_ = 0;
}

}  // namespace weft
