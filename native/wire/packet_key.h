// What a frame is, as far as the pipeline cares: filled in once by classify, read by every later
// stage.

#ifndef WEFT_WIRE_PACKET_KEY_H_
#define WEFT_WIRE_PACKET_KEY_H_

#include <cstdint>

#include "../wire/address.h"

namespace weft {

struct PacketKey {
  enum class Kind : uint8_t {
    kOther,  // not IP or ARP, tagged with a VLAN, or an IP header that contradicts the frame:
             // switched by MAC only
    kArp,
    kIpv4,
    kIpv6,
  };

  Kind kind = Kind::kOther;
  MacAddress source_mac{};
  MacAddress destination_mac{};
  uint16_t ether_type = 0;  // the innermost, after VLAN tags
  uint16_t l3_offset = 0;   // where the payload of ether_type begins

  // kIpv4 and kIpv6 only.
  IpAddress source{};
  IpAddress destination{};
  uint8_t protocol = 0;  // IPv6: after the extension headers that we know
  uint8_t ttl = 0;
  bool fragment = false;        // any fragment, the first too
  bool first_fragment = false;  // of a fragmented packet; its transport header is there
  uint32_t fragment_id = 0;     // of a fragment
  uint32_t l3_length =
      0;  // IP header and payload as the IP header says; of a superframe, the whole
  uint16_t l4_offset = 0;  // 0: no transport header in this frame
  uint16_t l4_header_length = 0;

  // TCP and UDP, when l4_offset is not 0.
  uint16_t source_port = 0;
  uint16_t destination_port = 0;

  bool IsIp() const { return kind == Kind::kIpv4 || kind == Kind::kIpv6; }
};

// The same number for both directions of a flow, and for all fragments of a packet.
uint32_t SymmetricFlowHash(const PacketKey& key);

}  // namespace weft

#endif  // WEFT_WIRE_PACKET_KEY_H_
