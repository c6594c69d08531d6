// The header that precedes each frame on a TAP opened with IFF_VNET_HDR, and its translation to
// Offload and back.

#ifndef WEFT_IO_VIRTIO_NET_H_
#define WEFT_IO_VIRTIO_NET_H_

#include <cstdint>

#include "../wire/offload.h"

namespace weft {

// virtio 1.2, section 5.1.6 (<linux/virtio_net.h> cannot be read by a C++ compiler: a field is
// called `class`). In host byte order: TUNSETVNETLE is not set, and both ends are this machine.
struct VnetHeader {
  uint8_t flags;
  uint8_t gso_type;
  uint16_t header_length;
  uint16_t gso_size;
  uint16_t checksum_start;
  uint16_t checksum_offset;
};
static_assert(sizeof(VnetHeader) == 10);

inline constexpr uint8_t kVnetNeedsChecksum = 1;
inline constexpr uint8_t kVnetGsoNone = 0;
inline constexpr uint8_t kVnetGsoTcpV4 = 1;
inline constexpr uint8_t kVnetGsoTcpV6 = 4;
inline constexpr uint8_t kVnetGsoUdp = 5;
inline constexpr uint8_t kVnetGsoEcn = 0x80;

// False for a kind of offload that was never asked for.
inline bool ToOffload(const VnetHeader& header, Offload* offload) {
  *offload = {};
  offload->needs_checksum = (header.flags & kVnetNeedsChecksum) != 0;
  offload->checksum_start = header.checksum_start;
  offload->checksum_offset = header.checksum_offset;
  offload->gso_size = header.gso_size;
  offload->ecn = (header.gso_type & kVnetGsoEcn) != 0;
  switch (header.gso_type & ~kVnetGsoEcn) {
    case kVnetGsoNone:
      offload->gso = Gso::kNone;
      return true;
    case kVnetGsoTcpV4:
      offload->gso = Gso::kTcpV4;
      return true;
    case kVnetGsoTcpV6:
      offload->gso = Gso::kTcpV6;
      return true;
    case kVnetGsoUdp:
      offload->gso = Gso::kUdp;
      return true;
    default:
      return false;
  }
}

// `header_length`: bytes up to the payload, a hint for the kernel's first copy; 0 when there is no
// superframe.
inline VnetHeader ToVnetHeader(const Offload& offload, uint16_t header_length) {
  VnetHeader header{};
  if (offload.needs_checksum) {
    header.flags = kVnetNeedsChecksum;
    header.checksum_start = offload.checksum_start;
    header.checksum_offset = offload.checksum_offset;
  }
  switch (offload.gso) {
    case Gso::kNone:
      return header;
    case Gso::kTcpV4:
      header.gso_type = kVnetGsoTcpV4;
      break;
    case Gso::kTcpV6:
      header.gso_type = kVnetGsoTcpV6;
      break;
    case Gso::kUdp:
      header.gso_type = kVnetGsoUdp;
      break;
  }
  if (offload.ecn) header.gso_type |= kVnetGsoEcn;
  header.gso_size = offload.gso_size;
  header.header_length = header_length;
  return header;
}

}  // namespace weft

#endif  // WEFT_IO_VIRTIO_NET_H_
