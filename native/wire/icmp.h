// ICMP (RFC 792, 1191), ICMPv6 (RFC 4443) and the neighbour messages of IPv6 (RFC 4861).

#ifndef WEFT_WIRE_ICMP_H_
#define WEFT_WIRE_ICMP_H_

#include "../wire/address.h"
#include "../wire/bytes.h"

namespace weft {

// The eight bytes that all of them begin with. `rest` is identifier and sequence of an echo, the
// MTU of a too-big.
struct IcmpHeader {
  uint8_t type;
  uint8_t code;
  Be16 checksum;
  Be32 rest;
};
static_assert(sizeof(IcmpHeader) == 8);

inline constexpr uint8_t kIcmpEchoReply = 0;
inline constexpr uint8_t kIcmpUnreachable = 3;
inline constexpr uint8_t kIcmpSourceQuench = 4;
inline constexpr uint8_t kIcmpRedirect = 5;
inline constexpr uint8_t kIcmpEchoRequest = 8;
inline constexpr uint8_t kIcmpTimeExceeded = 11;
inline constexpr uint8_t kIcmpParameterProblem = 12;

inline constexpr uint8_t kIcmpNetUnreachable = 0;
inline constexpr uint8_t kIcmpHostUnreachable = 1;
inline constexpr uint8_t kIcmpProtocolUnreachable = 2;
inline constexpr uint8_t kIcmpPortUnreachable = 3;
inline constexpr uint8_t kIcmpFragmentationNeeded = 4;

inline constexpr uint8_t kIcmpV6Unreachable = 1;
inline constexpr uint8_t kIcmpV6PacketTooBig = 2;
inline constexpr uint8_t kIcmpV6TimeExceeded = 3;
inline constexpr uint8_t kIcmpV6ParameterProblem = 4;
inline constexpr uint8_t kIcmpV6EchoRequest = 128;
inline constexpr uint8_t kIcmpV6EchoReply = 129;
inline constexpr uint8_t kIcmpV6NeighbourSolicitation = 135;
inline constexpr uint8_t kIcmpV6NeighbourAdvertisement = 136;

inline constexpr uint8_t kIcmpV6NoRoute = 0;
inline constexpr uint8_t kIcmpV6AddressUnreachable = 3;
inline constexpr uint8_t kIcmpV6PortUnreachable = 4;

// A solicitation or advertisement without options: the header, then the address asked for.
struct NeighbourMessage {
  IcmpHeader icmp;  // rest: the flags of an advertisement
  uint8_t target[16];
};
static_assert(sizeof(NeighbourMessage) == 24);

struct LinkLayerAddressOption {
  uint8_t type;    // 1 source, 2 target
  uint8_t length;  // in units of 8 bytes: 1
  MacAddress mac;
};
static_assert(sizeof(LinkLayerAddressOption) == 8);

inline constexpr uint32_t kAdvertisementRouter = 0x80000000;
inline constexpr uint32_t kAdvertisementSolicited = 0x40000000;
inline constexpr uint32_t kAdvertisementOverride = 0x20000000;

}  // namespace weft

#endif  // WEFT_WIRE_ICMP_H_
