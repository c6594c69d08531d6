// The VXLAN header (RFC 7348 section 5).
//
//    0                   1                   2                   3
//   |R|R|R|R|I|R|R|R|            reserved                           |
//   |                VXLAN network identifier       |   reserved    |
//
// I must be set; the reserved bits are sent as zero and ignored when received.

#ifndef WEFT_WIRE_VXLAN_H_
#define WEFT_WIRE_VXLAN_H_

#include "../wire/bytes.h"

namespace weft {

struct VxlanHeader {
  uint8_t flags;
  uint8_t reserved1[3];
  Be24 vni;
  uint8_t reserved2;
};
static_assert(sizeof(VxlanHeader) == 8);

inline constexpr uint8_t kVxlanFlagVni = 0x08;

}  // namespace weft

#endif  // WEFT_WIRE_VXLAN_H_
