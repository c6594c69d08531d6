// Integers as they stand on the wire: big endian, unaligned.

#ifndef WEFT_WIRE_BYTES_H_
#define WEFT_WIRE_BYTES_H_

#include <cstdint>

namespace weft {

// Structs made of these have alignment 1 and no padding, so a pointer into a frame at any offset is
// well defined.
struct Be16 {
  uint8_t bytes[2];

  uint16_t Get() const { return static_cast<uint16_t>(bytes[0] << 8 | bytes[1]); }
  void Set(uint32_t value) {
    bytes[0] = static_cast<uint8_t>(value >> 8);
    bytes[1] = static_cast<uint8_t>(value);
  }
};

struct Be24 {
  uint8_t bytes[3];

  uint32_t Get() const {
    return static_cast<uint32_t>(bytes[0]) << 16 | static_cast<uint32_t>(bytes[1]) << 8 | bytes[2];
  }
  void Set(uint32_t value) {
    bytes[0] = static_cast<uint8_t>(value >> 16);
    bytes[1] = static_cast<uint8_t>(value >> 8);
    bytes[2] = static_cast<uint8_t>(value);
  }
};

struct Be32 {
  uint8_t bytes[4];

  uint32_t Get() const {
    return static_cast<uint32_t>(bytes[0]) << 24 | static_cast<uint32_t>(bytes[1]) << 16 |
           static_cast<uint32_t>(bytes[2]) << 8 | bytes[3];
  }
  void Set(uint32_t value) {
    bytes[0] = static_cast<uint8_t>(value >> 24);
    bytes[1] = static_cast<uint8_t>(value >> 16);
    bytes[2] = static_cast<uint8_t>(value >> 8);
    bytes[3] = static_cast<uint8_t>(value);
  }
};

}  // namespace weft

#endif  // WEFT_WIRE_BYTES_H_
