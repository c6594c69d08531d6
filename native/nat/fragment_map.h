// Fragments of packets to and from VIPs: a later one has no ports, so the first says which flow
// they belong to.
//
// Nothing is put together. A later fragment that comes before the first cannot be translated; it is
// not held (senders emit them in order, and a way that reorders them loses little). Bounded: among
// the places that a packet may stand in, the oldest makes room.

#ifndef WEFT_NAT_FRAGMENT_MAP_H_
#define WEFT_NAT_FRAGMENT_MAP_H_

#include <cstdint>
#include <memory>

#include "../counters.h"
#include "../wire/packet_key.h"

namespace weft {

class FragmentMap {
 public:
  static constexpr uint32_t kNone = UINT32_MAX;
  static constexpr uint32_t kPackets = 1024;
  static constexpr uint32_t kWays = 4;
  // RFC 791 section 3.2 has 15 s as a lower bound for reassembly, Linux's default is 30 s.
  static constexpr uint64_t kLifetime = 30'000'000'000;

  explicit FragmentMap(Counters* counters) : counters_(counters) {}

  // The packet's first fragment belongs to the flow `index`, whose check is `check`.
  void Note(uint32_t vni, const PacketKey& key, uint32_t index, uint32_t check, uint64_t now_ns) {
    if (packets_ == nullptr) packets_ = std::make_unique<Packet[]>(kPackets);
    Packet* set = SetOf(vni, key);
    Packet* place = set;
    for (uint32_t way = 0; way < kWays; way++) {
      if (set[way].Is(vni, key)) {
        place = &set[way];
        break;
      }
      if (set[way].noted_ns < place->noted_ns) place = &set[way];
    }
    if (place->index != kNone && !place->Is(vni, key) && now_ns < place->noted_ns + kLifetime) {
      counters_->Add(Counter::vip_fragments_forgotten);
    }
    *place = {key.source,      key.destination, now_ns, vni,
              key.fragment_id, index,           check,  ProtocolOf(key)};
  }

  // kNone: no first fragment was seen. The caller compares the flow's check with `*check`.
  uint32_t Find(uint32_t vni, const PacketKey& key, uint64_t now_ns, uint32_t* check) {
    if (packets_ == nullptr) return kNone;
    Packet* set = SetOf(vni, key);
    for (uint32_t way = 0; way < kWays; way++) {
      if (!set[way].Is(vni, key) || now_ns >= set[way].noted_ns + kLifetime) continue;
      *check = set[way].check;
      return set[way].index;
    }
    return kNone;
  }

 private:
  struct Packet {
    IpAddress source{};
    IpAddress destination{};
    uint64_t noted_ns = 0;
    uint32_t vni = 0;
    uint32_t id = 0;
    uint32_t index = kNone;
    uint32_t check = 0;
    uint8_t protocol = 0;

    bool Is(uint32_t of_vni, const PacketKey& key) const {
      return index != kNone && id == key.fragment_id && vni == of_vni &&
             protocol == ProtocolOf(key) && source == key.source && destination == key.destination;
    }
  };

  // RFC 791: an identification is of source, destination and protocol; RFC 8200 leaves the protocol
  // out, which later fragments may not tell.
  static uint8_t ProtocolOf(const PacketKey& key) {
    return key.kind == PacketKey::Kind::kIpv4 ? key.protocol : 0;
  }
  Packet* SetOf(uint32_t vni, const PacketKey& key) {
    const uint64_t rest = uint64_t{key.fragment_id} << 32 | vni;
    const uint64_t hash = Mix64(HashOf(key.source) + Mix64(HashOf(key.destination) ^ Mix64(rest)));
    return &packets_[hash % (kPackets / kWays) * kWays];
  }

  Counters* const counters_;
  std::unique_ptr<Packet[]> packets_;  // made at the first fragment
};

}  // namespace weft

#endif  // WEFT_NAT_FRAGMENT_MAP_H_
