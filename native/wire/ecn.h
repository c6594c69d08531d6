// The traffic class byte of tunnelled packets: ECN of both headers (RFC 6040), DSCP (RFC 2983).

#ifndef WEFT_WIRE_ECN_H_
#define WEFT_WIRE_ECN_H_

#include "../wire/checksum.h"
#include "../wire/frame.h"
#include "../wire/ip.h"
#include "../wire/packet_key.h"

namespace weft {

inline constexpr uint8_t kEcnMask = 3;
inline constexpr uint8_t kNotEct = 0;
inline constexpr uint8_t kEct1 = 1;
inline constexpr uint8_t kEct0 = 2;
inline constexpr uint8_t kCe = 3;

// The inner packet's traffic class; 0 of what is no IP packet (or has a VLAN tag before it).
inline uint8_t TrafficClassOf(const Frame& frame, const PacketKey& key) {
  if (key.kind == PacketKey::Kind::kIpv4) return frame.Get<Ipv4Header>(key.l3_offset)->tos;
  if (key.kind != PacketKey::Kind::kIpv6) return 0;
  return static_cast<uint8_t>(frame.Get<Ipv6Header>(key.l3_offset)->version_class_label.Get() >>
                              20);
}

// RFC 6040 section 4.1, normal mode: the outer header has the inner one's ECN. Its DSCP only where
// that is wanted: the underlay may have other uses for it.
inline uint8_t OuterTrafficClass(const Frame& frame, const PacketKey& key, bool copy_dscp) {
  const uint8_t inner = TrafficClassOf(frame, key);
  return copy_dscp ? inner : inner & kEcnMask;
}

inline void SetEcn(Frame* frame, const PacketKey& key, uint8_t ecn) {
  if (key.kind == PacketKey::Kind::kIpv4) {
    auto* ip = frame->Get<Ipv4Header>(key.l3_offset);
    const auto before = static_cast<uint16_t>(ip->version_and_words << 8 | ip->tos);
    ip->tos = static_cast<uint8_t>((ip->tos & ~kEcnMask) | ecn);
    UpdateChecksum(&ip->checksum, before,
                   static_cast<uint16_t>(ip->version_and_words << 8 | ip->tos));
  } else if (key.kind == PacketKey::Kind::kIpv6) {
    auto* ip = frame->Get<Ipv6Header>(key.l3_offset);
    const uint32_t word = ip->version_class_label.Get();
    ip->version_class_label.Set((word & ~(uint32_t{kEcnMask} << 20)) | uint32_t{ecn} << 20);
  }
}

}  // namespace weft

#endif  // WEFT_WIRE_ECN_H_
