#include "../pipeline/vip_echo.h"

#include <utility>

#include "../nat/rewrite.h"
#include "../wire/ethernet.h"
#include "../wire/icmp.h"
#include "../wire/ip.h"

namespace weft {

Verdict AnswerVipEcho(Passage* passage, Frame* frame) {
  PacketKey& key = passage->key;
  const bool v4 = key.kind == PacketKey::Kind::kIpv4;
  const bool later = key.fragment && !key.first_fragment;
  if (!later) {
    auto* icmp = key.l4_offset == 0 ? nullptr : frame->Get<IcmpHeader>(key.l4_offset);
    if (icmp == nullptr || icmp->type != (v4 ? kIcmpEchoRequest : kIcmpV6EchoRequest)) {
      return Verdict::Drop(Counter::drop_vip_not_answered);
    }
    if (!FinishChecksum(frame)) return Verdict::Drop(Counter::drop_bad_offload);
    const uint8_t reply[2] = {v4 ? kIcmpEchoReply : kIcmpV6EchoReply, icmp->code};
    ChecksumDelta delta;
    delta.Change(&icmp->type, reply, 2);
    icmp->type = reply[0];
    delta.Update(&icmp->checksum);
  }
  auto* ethernet = frame->Get<EthernetHeader>(0);
  std::swap(ethernet->destination, ethernet->source);
  // The sum over two addresses is the same in either order. The TTL is as good as one of our own:
  // the packet has made no hop.
  if (v4) {
    auto* ip = frame->Get<Ipv4Header>(key.l3_offset);
    std::swap(ip->source, ip->destination);
  } else {
    auto* ip = frame->Get<Ipv6Header>(key.l3_offset);
    std::swap(ip->source, ip->destination);
  }
  frame->offload = {};
  return Verdict::Reply(Counter::vip_echo_answered);
}

}  // namespace weft
