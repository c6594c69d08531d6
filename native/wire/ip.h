// IPv4 (RFC 791) and IPv6 (RFC 8200) headers.

#ifndef WEFT_WIRE_IP_H_
#define WEFT_WIRE_IP_H_

#include "../wire/address.h"
#include "../wire/bytes.h"

namespace weft {

struct Ipv4Header {
  uint8_t version_and_words;
  uint8_t tos;
  Be16 total_length;
  Be16 id;
  Be16 flags_and_offset;
  uint8_t ttl;
  uint8_t protocol;
  Be16 checksum;
  uint8_t source[4];
  uint8_t destination[4];

  uint32_t HeaderLength() const { return (version_and_words & 0x0fu) * 4u; }
  uint32_t FragmentOffset() const { return flags_and_offset.Get() & 0x1fffu; }
  bool MoreFragments() const { return (flags_and_offset.Get() & 0x2000) != 0; }
};
static_assert(sizeof(Ipv4Header) == 20);

struct Ipv6Header {
  Be32 version_class_label;
  Be16 payload_length;
  uint8_t next_header;
  uint8_t hop_limit;
  uint8_t source[16];
  uint8_t destination[16];
};
static_assert(sizeof(Ipv6Header) == 40);

struct Ipv6FragmentHeader {
  uint8_t next_header;
  uint8_t reserved;
  Be16 offset_and_more;
  Be32 id;
};

// Protocol numbers and IPv6 next headers (IANA) that the dataplane looks at.
inline constexpr uint8_t kProtocolHopByHop = 0;
inline constexpr uint8_t kProtocolIcmp = 1;
inline constexpr uint8_t kProtocolTcp = 6;
inline constexpr uint8_t kProtocolUdp = 17;
inline constexpr uint8_t kProtocolRouting = 43;
inline constexpr uint8_t kProtocolFragment = 44;
inline constexpr uint8_t kProtocolIcmpV6 = 58;
inline constexpr uint8_t kProtocolDestinationOptions = 60;

// RFC 1700's recommended default, and what Linux sends.
inline constexpr uint8_t kDefaultTtl = 64;

}  // namespace weft

#endif  // WEFT_WIRE_IP_H_
