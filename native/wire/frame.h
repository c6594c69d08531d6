// A frame: bytes from the Ethernet header on, in a buffer with headroom, and its offload metadata.
//
// A superframe that was put together from datagrams has a tail: payload that lies elsewhere, piece
// by piece. Headers are always in the buffer.
//
// All access to a frame's bytes goes through Get<T>(), which answers nullptr when the bytes are not
// there; a stage that forgets the check fails at once in the fuzzer instead of reading its
// neighbour.

#ifndef WEFT_WIRE_FRAME_H_
#define WEFT_WIRE_FRAME_H_

#include <sys/uio.h>

#include <cstdint>
#include <cstring>
#include <vector>

#include "../wire/offload.h"

namespace weft {

// Room before the Ethernet header for what is prepended on the way: 48 bytes of IPv6 + ICMPv6
// around a quoted packet, or 8 bytes of VXLAN; rounded to a cache line.
inline constexpr uint32_t kHeadroom = 64;
// The largest frame a TAP hands over: 64 KB of GSO plus Ethernet and two VLAN tags.
inline constexpr uint32_t kMaxFrame = 65536 + 32;
inline constexpr uint32_t kBufferSize = kHeadroom + kMaxFrame;

class Frame {
 public:
  // `buffer` holds `headroom` free bytes, then `length` bytes of frame; `capacity` counts from
  // `buffer`. Not owned.
  Frame(uint8_t* buffer, uint32_t capacity, uint32_t length, uint32_t headroom = kHeadroom)
      : buffer_(buffer), capacity_(capacity), start_(headroom), length_(length) {}

  uint8_t* data() { return buffer_ + start_; }
  const uint8_t* data() const { return buffer_ + start_; }
  // With the tail.
  uint32_t length() const { return length_ + tail_length_; }
  // What is at data().
  uint32_t buffered() const { return length_; }

  const iovec* tail() const { return tail_; }
  uint32_t tail_count() const { return tail_count_; }
  // `pieces` stay the caller's, and in place.
  void SetTail(const iovec* pieces, uint32_t count, uint32_t bytes) {
    tail_ = pieces;
    tail_count_ = count;
    tail_length_ = bytes;
  }
  // Appends all of it, for who needs it in one piece.
  void AppendTo(std::vector<uint8_t>* bytes) const {
    bytes->insert(bytes->end(), data(), data() + length_);
    for (uint32_t i = 0; i < tail_count_; i++) {
      const auto* piece = static_cast<const uint8_t*>(tail_[i].iov_base);
      bytes->insert(bytes->end(), piece, piece + tail_[i].iov_len);
    }
  }

  template <typename T>
  T* Get(uint32_t offset) {
    return Has(offset, sizeof(T)) ? reinterpret_cast<T*>(data() + offset) : nullptr;
  }
  template <typename T>
  const T* Get(uint32_t offset) const {
    return Has(offset, sizeof(T)) ? reinterpret_cast<const T*>(data() + offset) : nullptr;
  }
  bool Has(uint32_t offset, uint32_t bytes) const {
    return offset <= length_ && bytes <= length_ - offset;
  }

  // Moves the start of the frame `bytes` towards the head of the buffer. False when the headroom is
  // used up.
  bool Prepend(uint32_t bytes) {
    if (bytes > start_) return false;
    start_ -= bytes;
    length_ += bytes;
    return true;
  }
  // Bytes before the frame that are its own to use.
  uint32_t headroom() const { return start_; }
  // Drops the first `bytes` bytes; the caller knows that they are there.
  void Strip(uint32_t bytes) {
    start_ += bytes;
    length_ -= bytes;
  }
  // Sets the length; false when the buffer does not hold that much, or there is a tail.
  bool Resize(uint32_t length) {
    if (length > capacity_ - start_ || tail_count_ != 0) return false;
    length_ = length;
    return true;
  }

  Offload offload;
  // How many datagrams from the underlay it was put together from: what it counts for when it is
  // dropped.
  uint32_t datagrams = 1;

 private:
  uint8_t* buffer_;
  uint32_t capacity_;
  uint32_t start_;
  uint32_t length_;
  const iovec* tail_ = nullptr;
  uint32_t tail_count_ = 0;
  uint32_t tail_length_ = 0;
};

}  // namespace weft

#endif  // WEFT_WIRE_FRAME_H_
