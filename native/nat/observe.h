// What a packet tells about its flow: TCP by SYN, FIN and RST alone, UDP by who has spoken.

#ifndef WEFT_NAT_OBSERVE_H_
#define WEFT_NAT_OBSERVE_H_

#include <cstdint>

#include "../nat/conntrack.h"
#include "../wire/icmp.h"
#include "../wire/ip.h"
#include "../wire/packet_key.h"
#include "../wire/transport.h"

namespace weft {

enum class Side : uint8_t { kClient, kBackend };

// The flags of a TCP segment; 0 for anything else.
inline uint8_t TransportFlags(const Frame& frame, const PacketKey& key) {
  return key.protocol == kProtocolTcp ? frame.Get<TcpHeader>(key.l4_offset)->flags : 0;
}

inline void ObservePacket(Conntrack* conntrack, uint32_t index, uint8_t flags, Side side,
                          uint64_t now_ns) {
  Flow& flow = conntrack->flow(index);
  const FlowState state = flow.state;
  const auto become = [&](FlowState next) { conntrack->SetState(index, next, now_ns); };
  if (flow.protocol == kProtocolUdp) {
    if (side == Side::kBackend && state == FlowState::kUdpNew) return become(FlowState::kUdp);
    return conntrack->Touch(index, now_ns);
  }
  if (state == FlowState::kClosed) return conntrack->Touch(index, now_ns);
  if ((flags & kTcpRst) != 0) return become(FlowState::kClosed);
  const bool answer = (flags & (kTcpSyn | kTcpAck)) == (kTcpSyn | kTcpAck);
  if (answer && side == Side::kBackend && state == FlowState::kHalfOpen) {
    return become(FlowState::kEstablished);
  }
  const uint8_t fin = side == Side::kClient ? Flow::kFinFromClient : Flow::kFinFromBackend;
  if ((flags & kTcpFin) == 0 || (flow.flags & fin) != 0) return conntrack->Touch(index, now_ns);
  FlowStore::SetFlags(&flow, flow.flags | fin);
  constexpr uint8_t kBoth = Flow::kFinFromClient | Flow::kFinFromBackend;
  become((flow.flags & kBoth) == kBoth ? FlowState::kClosing : FlowState::kHalfClosed);
}

// ICMP that tells of a packet's fate, and so may belong to its flow.
inline bool IsError(const PacketKey& key, const IcmpHeader& icmp) {
  if (key.kind == PacketKey::Kind::kIpv4) {
    return key.protocol == kProtocolIcmp &&
           (icmp.type == kIcmpUnreachable || icmp.type == kIcmpTimeExceeded ||
            icmp.type == kIcmpParameterProblem);
  }
  return key.protocol == kProtocolIcmpV6 && icmp.type >= kIcmpV6Unreachable &&
         icmp.type <= kIcmpV6ParameterProblem;
}

// What the map of fragments remembers: a flow, and which way the packet goes (a backend that
// reached itself sends both ways with the same addresses).
inline uint32_t ReplyNote(uint32_t index) { return index | 0x80000000; }
inline bool IsReplyNote(uint32_t note) { return (note & 0x80000000) != 0; }
inline uint32_t IndexOfNote(uint32_t note) { return note & 0x7fffffff; }

}  // namespace weft

#endif  // WEFT_NAT_OBSERVE_H_
