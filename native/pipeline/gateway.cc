#include "../pipeline/gateway.h"

#include <utility>

#include "../pipeline/icmp_error.h"
#include "../wire/checksum.h"
#include "../wire/ethernet.h"
#include "../wire/icmp.h"
#include "../wire/ip.h"

namespace weft {

namespace {

bool IsEcho(const PacketKey& key, const IcmpHeader* icmp) {
  if (icmp == nullptr) return false;
  if (key.kind == PacketKey::Kind::kIpv4) {
    return key.protocol == kProtocolIcmp && icmp->type == kIcmpEchoRequest;
  }
  return key.protocol == kProtocolIcmpV6 && icmp->type == kIcmpV6EchoRequest &&
         key.l4_offset == key.l3_offset + sizeof(Ipv6Header);
}

Verdict AnswerEcho(Passage* passage, Frame* frame, IcmpHeader* icmp) {
  const PacketKey& key = passage->key;
  if (key.fragment) return Verdict::Drop(Counter::drop_gateway_fragment);
  auto* ethernet = frame->Get<EthernetHeader>(0);
  std::swap(ethernet->destination, ethernet->source);
  const auto length = static_cast<uint16_t>(key.l3_offset + key.l3_length - key.l4_offset);
  ChecksumSum sum;
  icmp->checksum.Set(0);
  if (key.kind == PacketKey::Kind::kIpv4) {
    auto* ip = frame->Get<Ipv4Header>(key.l3_offset);
    std::swap(ip->source, ip->destination);
    ip->ttl = kDefaultTtl;
    StoreIpv4Checksum(ip, ip->HeaderLength());
    icmp->type = kIcmpEchoReply;
  } else {
    auto* ip = frame->Get<Ipv6Header>(key.l3_offset);
    std::swap(ip->source, ip->destination);
    ip->hop_limit = kDefaultTtl;
    icmp->type = kIcmpV6EchoReply;
    AddPseudoHeader(&sum, *ip, kProtocolIcmpV6, length);
  }
  sum.Add(frame->data() + key.l4_offset, length);
  sum.StoreChecksum(&icmp->checksum);
  frame->offload = {};
  return Verdict::Reply(Counter::gateway_echo_answered);
}

// What is addressed to the gateway itself: echo is answered, all else is told that nobody listens.
Verdict AnswerForItself(Passage* passage, Frame* frame) {
  const PacketKey& key = passage->key;
  auto* icmp = key.l4_offset == 0 ? nullptr : frame->Get<IcmpHeader>(key.l4_offset);
  if (IsEcho(key, icmp)) return AnswerEcho(passage, frame, icmp);
  // RFC 1122 section 3.2.2, RFC 4443 section 2.4 b: ICMP that nobody waits for is discarded, not
  // answered.
  const bool v4 = key.kind == PacketKey::Kind::kIpv4;
  if (key.protocol == (v4 ? kProtocolIcmp : kProtocolIcmpV6)) {
    return Verdict::Drop(key.fragment ? Counter::drop_gateway_fragment
                                      : Counter::drop_no_icmp_allowed);
  }
  const bool has_ports = key.protocol == kProtocolUdp || key.protocol == kProtocolTcp;
  return ReplyWithIcmpError(
      passage, frame, *passage->network,
      has_ports ? IcmpError::kPortUnreachable : IcmpError::kProtocolUnreachable);
}

void DecrementTtl(const PacketKey& key, Frame* frame) {
  if (key.kind == PacketKey::Kind::kIpv4) {
    auto* ip = frame->Get<Ipv4Header>(key.l3_offset);
    const auto before = static_cast<uint16_t>(ip->ttl << 8 | ip->protocol);
    ip->ttl--;
    UpdateChecksum(&ip->checksum, before, static_cast<uint16_t>(ip->ttl << 8 | ip->protocol));
  } else {
    frame->Get<Ipv6Header>(key.l3_offset)->hop_limit--;
  }
}

Verdict Route(Passage* passage, Frame* frame, const RouterRow& router) {
  PacketKey& key = passage->key;
  const NetworkRow& from = *passage->network;
  const RouterRow::Subnet* subnet = router.SubnetOf(key.destination);
  // A link-local source means nothing in the other subnet (RFC 3927 section 2.7, RFC 4291
  // section 2.5.6).
  if (subnet == nullptr || key.destination.IsGroup() || key.source.IsLinkLocal()) {
    return ReplyWithIcmpError(passage, frame, from, IcmpError::kNoRoute);
  }
  if (key.ttl <= 1) return ReplyWithIcmpError(passage, frame, from, IcmpError::kTimeExceeded);

  const NetworkRow* to = passage->tables.networks.Find({subnet->vni});
  if (to == nullptr) return ReplyWithIcmpError(passage, frame, from, IcmpError::kNoRoute);
  passage->trail.Note(TableId::kNetwork, to->record);
  const NeighbourRow* neighbour = passage->tables.neighbours.Find({subnet->vni, key.destination});
  if (neighbour == nullptr) {
    return ReplyWithIcmpError(passage, frame, from, IcmpError::kHostUnreachable);
  }
  passage->trail.Note(TableId::kNeighbour, neighbour->record);

  // From here on the frame is in the other subnet; its size is judged there.
  DecrementTtl(key, frame);
  key.ttl--;
  auto* ethernet = frame->Get<EthernetHeader>(0);
  ethernet->destination = neighbour->mac;
  ethernet->source = to->gateway_mac;
  key.destination_mac = neighbour->mac;
  passage->vni = subnet->vni;
  passage->network = to;
  passage->routed = true;
  return Verdict::Continue();
}

}  // namespace

Verdict PassGateway(Passage* passage, Frame* frame) {
  const NetworkRow& network = *passage->network;
  const PacketKey& key = passage->key;
  if (network.router == 0 || !(key.destination_mac == network.gateway_mac))
    return Verdict::Continue();
  if (!key.IsIp()) {
    const bool tagged = key.l3_offset != sizeof(EthernetHeader);
    const bool ip =
        !tagged && (key.ether_type == kEtherTypeIpv4 || key.ether_type == kEtherTypeIpv6);
    return Verdict::Drop(ip ? Counter::drop_gateway_malformed : Counter::drop_gateway_not_ip);
  }
  const RouterRow* router = passage->tables.routers.Find({network.router});
  if (router == nullptr) return Verdict::Drop(Counter::drop_port_not_programmed);
  passage->trail.Note(TableId::kRouter, router->record);
  if (router->Owns(key.destination)) return AnswerForItself(passage, frame);
  return Route(passage, frame, *router);
}

}  // namespace weft
