#include "../wire/packet_key.h"

namespace weft {

uint32_t SymmetricFlowHash(const PacketKey& key) {
  // Sums are the same in either order; each side is mixed first, so that a.b and b.a of other flows
  // do not cancel out.
  uint64_t hash = Mix64(key.source_mac.AsInteger()) + Mix64(key.destination_mac.AsInteger());
  if (key.IsIp()) {
    hash = HashOf(key.source) + HashOf(key.destination);
    // Fragments after the first have no ports, and behind an IPv6 extension header not even the
    // protocol: the whole packet goes by its addresses, or it would be reordered.
    if (!key.fragment) hash += key.protocol;
    if (!key.fragment && key.l4_offset != 0) {
      hash = Mix64(hash) + Mix64(key.source_port) + Mix64(key.destination_port);
    }
  }
  return static_cast<uint32_t>(Mix64(hash));
}

}  // namespace weft
