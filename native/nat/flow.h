// A flow to a VIP as conntrack keeps it: plain bytes in a mapped file, so that it outlives the
// daemon.
//
//   client:client_port → vip:vip_port            what the client sends and sees (original)
//   source:seen_port   → backend:backend_port    what the backend sees (translated)
//
// The source is the client, except for a backend that has reached itself (hairpin): then the VIP.
// seen_port is client_port, unless another flow has that reply tuple already.
//
// A client that speaks to a backend without the VIP, from a port that one of its flows has there,
// has a flow of its own as well (direct): its VIP is the backend's address, and only the port
// changes.

#ifndef WEFT_NAT_FLOW_H_
#define WEFT_NAT_FLOW_H_

#include <cstddef>
#include <cstdint>

#include "../wire/address.h"

namespace weft {

// Where a packet comes from and goes to.
struct Ends {
  IpAddress source{};
  IpAddress destination{};
  uint16_t source_port = 0;
  uint16_t destination_port = 0;

  Ends Reversed() const { return {destination, source, destination_port, source_port}; }
  bool operator==(const Ends& other) const {
    return source_port == other.source_port && destination_port == other.destination_port &&
           source == other.source && destination == other.destination;
  }
};

// What is known of a flow by its flags alone: nothing has to see every packet of it.
enum class FlowState : uint8_t {
  kFree,
  kHalfOpen,     // TCP: a SYN, and no answer yet
  kEstablished,  // TCP: SYN+ACK was seen
  kHalfClosed,   // TCP: FIN from one side
  kClosing,      // TCP: FIN from both
  kClosed,       // TCP: RST
  kDoomed,       // TCP: its backend is lost; the client is to be told
  kUdpNew,       // UDP: only the client has spoken
  kUdp,          // UDP: both have
  kCount,
};

// Of use as an index of lists, one for each state.
inline constexpr size_t kFlowStates = static_cast<size_t>(FlowState::kCount);

struct Flow {
  static constexpr uint8_t kHairpin = 1;
  static constexpr uint8_t kFinFromClient = 2;
  static constexpr uint8_t kFinFromBackend = 4;
  static constexpr uint8_t kDirect = 8;

  // What it is never changes while it lives, and is covered by `check`. All that a lookup compares
  // stands in the first 64 bytes.
  IpAddress client;
  IpAddress vip;
  IpAddress backend;
  uint16_t client_port;
  uint16_t vip_port;
  uint16_t seen_port;
  uint16_t backend_port;
  uint32_t vni;  // of the client
  uint8_t protocol;
  // What has become of it, but for kHairpin and kDirect.
  FlowState state;
  uint8_t flags;
  uint8_t probes;  // kDoomed: questions put to the client
  // What it is, again.
  uint32_t backend_vni;
  uint32_t vip_vni;
  uint64_t service;
  uint32_t created_s;  // on the monotonic clock
  uint32_t check;
  uint64_t used_ns;  // renewed at most once a second

  bool IsHairpin() const { return (flags & kHairpin) != 0; }
  bool IsDirect() const { return (flags & kDirect) != 0; }
  Ends Original() const { return {client, vip, client_port, vip_port}; }
  Ends Translated() const { return {IsHairpin() ? vip : client, backend, seen_port, backend_port}; }
  uint32_t Check() const;
};
static_assert(sizeof(Flow) == 96 && alignof(Flow) == 8);

inline uint32_t Flow::Check() const {
  uint64_t sum = 0x77656674;  // "weft": a flow of zeros is none
  const auto* bytes = reinterpret_cast<const uint8_t*>(this);
  constexpr size_t kChanging = offsetof(Flow, protocol);
  for (size_t i = 0; i < offsetof(Flow, check); i += 4) {
    uint32_t word = uint32_t{protocol} | static_cast<uint32_t>(flags & (kHairpin | kDirect)) << 8;
    if (i != kChanging) memcpy(&word, bytes + i, 4);
    sum = Mix64(sum ^ word);
  }
  return static_cast<uint32_t>(sum);
}

}  // namespace weft

#endif  // WEFT_NAT_FLOW_H_
