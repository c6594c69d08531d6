#include "../io/arrival.h"

#include "../wire/ethernet.h"
#include "../wire/ip.h"
#include "../wire/vxlan.h"

namespace weft {

namespace {

// Where the inner IP packet ends, as its header says; 0 when there is none.
uint32_t InnerEnd(const uint8_t* bytes, uint32_t length) {
  constexpr uint32_t kMacs = 12;
  uint32_t at = sizeof(VxlanHeader) + kMacs;
  uint16_t type = 0;
  for (int tags = 0; tags <= 2; tags++) {
    if (length < at + 2 + sizeof(Ipv6Header)) return 0;
    type = reinterpret_cast<const Be16*>(bytes + at)->Get();
    at += 2;
    if (type != kEtherTypeVlan && type != kEtherTypeServiceVlan) break;
    at += 2;
  }
  if (type == kEtherTypeIpv4) {
    return at + reinterpret_cast<const Ipv4Header*>(bytes + at)->total_length.Get();
  }
  if (type != kEtherTypeIpv6) return 0;
  return at + static_cast<uint32_t>(sizeof(Ipv6Header)) +
         reinterpret_cast<const Ipv6Header*>(bytes + at)->payload_length.Get();
}

}  // namespace

Arrival ArrivalOf(uint8_t* bytes, uint32_t headroom, uint32_t length, uint32_t told,
                  VtepAddress source, uint8_t tos) {
  Arrival arrival{.bytes = bytes,
                  .headroom = headroom,
                  .length = length,
                  .segment = told,
                  .inner_segment = 0,
                  .source = source,
                  .tos = tos};
  if (told == 0 || InnerEnd(bytes, length) != length) return arrival;
  arrival.segment = 0;
  if (told < length) arrival.inner_segment = told;
  return arrival;
}

}  // namespace weft
