// What a frame still owes: the segmentation and the checksum that its sender left to whoever puts
// it on a wire.
//
// The model is virtio's (virtio 1.2, section 5.1.6): a sender may hand over a superframe of up to
// 64 KB with the size of the segments to cut, and a transport checksum field that holds only the
// pseudo-header's sum. Such a frame travels through the pipeline as one unit; the lane that writes
// it to a TAP passes the metadata on, the lane that puts it on the underlay cuts it and completes
// the checksums.

#ifndef WEFT_WIRE_OFFLOAD_H_
#define WEFT_WIRE_OFFLOAD_H_

#include <cstdint>

namespace weft {

enum class Gso : uint8_t { kNone = 0, kTcpV4 = 1, kTcpV6 = 2, kUdp = 3 };

struct Offload {
  Gso gso = Gso::kNone;
  // The TCP stream negotiated ECN: CWR stands in the first segment only (RFC 3168 section 6.1.2).
  bool ecn = false;
  // The 16-bit field at csum_start + csum_offset holds the pseudo-header's sum; the sum from
  // csum_start on is missing.
  bool needs_checksum = false;
  uint16_t gso_size = 0;        // payload bytes of each segment but the last
  uint16_t checksum_start = 0;  // from the start of the Ethernet header
  uint16_t checksum_offset = 0;

  bool IsSuperframe() const { return gso != Gso::kNone; }
};

}  // namespace weft

#endif  // WEFT_WIRE_OFFLOAD_H_
