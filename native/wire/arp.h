// ARP for IPv4 over Ethernet (RFC 826).

#ifndef WEFT_WIRE_ARP_H_
#define WEFT_WIRE_ARP_H_

#include "../wire/address.h"
#include "../wire/bytes.h"

namespace weft {

struct ArpPacket {
  Be16 hardware_type;  // 1
  Be16 protocol_type;  // 0x0800
  uint8_t hardware_length;
  uint8_t protocol_length;
  Be16 operation;
  MacAddress sender_mac;
  uint8_t sender_ip[4];
  MacAddress target_mac;
  uint8_t target_ip[4];

  bool IsIpv4OverEthernet() const {
    return hardware_type.Get() == 1 && protocol_type.Get() == 0x0800 && hardware_length == 6 &&
           protocol_length == 4;
  }
};
static_assert(sizeof(ArpPacket) == 28);

inline constexpr uint16_t kArpRequest = 1;
inline constexpr uint16_t kArpReply = 2;

}  // namespace weft

#endif  // WEFT_WIRE_ARP_H_
