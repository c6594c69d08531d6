// What an interface is given in its namespace: MAC, MTU, addresses, routes. By rtnetlink, for a
// process that runs ip(8) instead costs a hundred times as much.
#ifndef WEFT_INIT_LINK_H_
#define WEFT_INIT_LINK_H_

#include <stdint.h>

#include "error.h"

namespace weft {

struct MacAddress {
  uint8_t bytes[6];
};

// An address of either family, with how much of it names the subnet.
struct IpPrefix {
  uint8_t family;  // AF_INET, AF_INET6
  uint8_t length;
  uint8_t bytes[16];
};

// `announce`: an interface that is up tells its neighbours which MAC its addresses have now, by
// gratuitous ARP (RFC 5944 section 4.6) and unsolicited neighbour advertisements (RFC 4861 section
// 7.2.6). A TAP may change its MAC while it is up.
Error SetLink(const char* name, const MacAddress& mac, uint32_t mtu, bool announce);

// Usable at once: whoever chose the address knows that nobody else has it, so IPv6 does not probe.
Error AddAddress(const char* name, const IpPrefix& address);

// `to`, of the same family, takes the place of `from`; the interface's routes stay. When `from` is
// not there any more nothing happens: asked for again after a crash, it is done once.
Error ReplaceAddress(const char* name, const IpPrefix& from, const IpPrefix& to);

// What lies behind `gateway`, a neighbour on the interface. An equal route is replaced.
Error ReplaceRoute(const char* name, const IpPrefix& to, const IpPrefix& gateway);

Error BringUp(const char* name);

}  // namespace weft

#endif  // WEFT_INIT_LINK_H_
