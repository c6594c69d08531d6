// Ethernet II header and VLAN tags (IEEE 802.3, 802.1Q).

#ifndef WEFT_WIRE_ETHERNET_H_
#define WEFT_WIRE_ETHERNET_H_

#include "../wire/address.h"
#include "../wire/bytes.h"

namespace weft {

struct EthernetHeader {
  MacAddress destination;
  MacAddress source;
  Be16 type;
};
static_assert(sizeof(EthernetHeader) == 14);

struct VlanTag {
  Be16 control;
  Be16 type;
};

inline constexpr uint16_t kEtherTypeIpv4 = 0x0800;
inline constexpr uint16_t kEtherTypeArp = 0x0806;
inline constexpr uint16_t kEtherTypeVlan = 0x8100;
inline constexpr uint16_t kEtherTypeServiceVlan = 0x88a8;
inline constexpr uint16_t kEtherTypeIpv6 = 0x86dd;

}  // namespace weft

#endif  // WEFT_WIRE_ETHERNET_H_
