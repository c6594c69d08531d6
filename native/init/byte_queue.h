// A bounded queue of bytes that costs memory only while bytes wait in it.
//
// The bytes are contiguous, so that a parser can look at them in place. The capacity is address
// space; pages are touched as bytes arrive and given back when the queue runs empty.
#ifndef WEFT_INIT_BYTE_QUEUE_H_
#define WEFT_INIT_BYTE_QUEUE_H_

#include <stddef.h>
#include <stdint.h>

namespace weft {

class ByteQueue {
 public:
  explicit ByteQueue(size_t capacity) : capacity_(capacity) {}
  ByteQueue(const ByteQueue&) = delete;
  ByteQueue& operator=(const ByteQueue&) = delete;

  bool empty() const { return head_ == tail_; }
  size_t size() const { return tail_ - head_; }
  uint8_t* data() { return bytes_ + head_; }

  // False if they do not fit; then none is taken.
  bool Append(const void* bytes, size_t count);

  // Where the next bytes may be written, and how many at most; then say how many were.
  uint8_t* Room(size_t* count);
  void Commit(size_t count) { tail_ += count; }

  void Consume(size_t count);

  // Empties the queue and gives its address space back.
  void Free();

 private:
  bool Map();

  size_t capacity_;
  uint8_t* bytes_ = nullptr;
  size_t head_ = 0;
  size_t tail_ = 0;
};

}  // namespace weft

#endif  // WEFT_INIT_BYTE_QUEUE_H_
