#include "../wire/packet_key.h"

namespace weft {

uint32_t SymmetricFlowHash(const PacketKey& key) {
  // Sums are the same in either order; each side is mixed first, so that a.b and b.a of other flows
  // do not cancel out.
  uint64_t hash = Mix64(key.source_mac.AsInteger()) + Mix64(key.destination_mac.AsInteger());
  if (key.IsIp()) {
    // Fragments after the first have no ports: the whole packet goes by its addresses, or it would
    // be reordered.
    const bool ports = key.l4_offset != 0 && !key.fragment;
    hash = HashOf(key.source) + HashOf(key.destination) + key.protocol;
    if (ports) hash = Mix64(hash) + Mix64(key.source_port) + Mix64(key.destination_port);
  }
  return static_cast<uint32_t>(Mix64(hash));
}

}  // namespace weft
