// Summing bytes for the Internet checksum, by the widest instructions that this CPU has.

#ifndef WEFT_WIRE_SUM_BYTES_H_
#define WEFT_WIRE_SUM_BYTES_H_

#include <cstdint>

namespace weft {

// One's complement sum of `length` bytes as 16-bit words in memory order, not folded: only its
// remainder modulo 0xffff means something. An odd end counts as if a zero byte followed.
using SumBytes = uint64_t (*)(const uint8_t* data, uint32_t length);

struct SumImplementation {
  const char* name;
  SumBytes sum;
};

// All that run on this CPU; the first is the portable one, the last the fastest.
struct SumImplementations {
  static constexpr int kMost = 3;
  SumImplementation list[kMost];
  int count;
};
const SumImplementations& AvailableSums();

// By the fastest.
uint64_t SumOfBytes(const uint8_t* data, uint32_t length);

}  // namespace weft

#endif  // WEFT_WIRE_SUM_BYTES_H_
