#include "../pipeline/neighbour_responder.h"

#include "../wire/arp.h"
#include "../wire/checksum.h"
#include "../wire/ethernet.h"
#include "../wire/icmp.h"
#include "../wire/ip.h"

namespace weft {

namespace {

// The row of `ip`, unless it is the asker's own: nobody is told where he is himself.
const NeighbourRow* Known(Passage* passage, const IpAddress& ip) {
  const NeighbourRow* row = passage->tables.neighbours.Find({passage->vni, ip});
  if (row == nullptr || row->mac == passage->key.source_mac) return nullptr;
  passage->trail.Note(TableId::kNeighbour, row->record);
  return row;
}

Verdict AnswerArp(Passage* passage, Frame* frame) {
  auto* arp = frame->Get<ArpPacket>(passage->key.l3_offset);
  if (arp == nullptr || !arp->IsIpv4OverEthernet() || arp->operation.Get() != kArpRequest) {
    return Verdict::Continue();
  }
  const IpAddress sender = IpAddress::V4(arp->sender_ip);
  const IpAddress target = IpAddress::V4(arp->target_ip);
  if (sender.IsUnspecified() || sender == target) return Verdict::Continue();
  const NeighbourRow* row = Known(passage, target);
  if (row == nullptr) return Verdict::Continue();

  auto* ethernet = frame->Get<EthernetHeader>(0);
  ethernet->destination = ethernet->source;
  ethernet->source = row->mac;
  arp->operation.Set(kArpReply);
  arp->target_mac = arp->sender_mac;
  memcpy(arp->target_ip, arp->sender_ip, 4);
  arp->sender_mac = row->mac;
  memcpy(arp->sender_ip, target.V4Bytes(), 4);
  frame->Resize(passage->key.l3_offset + sizeof(ArpPacket));
  frame->offload = {};
  return Verdict::Reply(Counter::arp_answered);
}

Verdict AnswerSolicitation(Passage* passage, Frame* frame) {
  const PacketKey& key = passage->key;
  if (key.protocol != kProtocolIcmpV6 || key.l4_offset != key.l3_offset + sizeof(Ipv6Header)) {
    return Verdict::Continue();
  }
  // RFC 4861 section 7.1.1: the whole message, and a hop limit of 255, which shows that no router
  // forwarded it.
  if (key.l3_length < sizeof(Ipv6Header) + sizeof(NeighbourMessage)) return Verdict::Continue();
  auto* message = frame->Get<NeighbourMessage>(key.l4_offset);
  if (message == nullptr || message->icmp.type != kIcmpV6NeighbourSolicitation ||
      message->icmp.code != 0 || key.ttl != 255) {
    return Verdict::Continue();
  }
  if (key.source.IsUnspecified()) return Verdict::Continue();
  const IpAddress target = IpAddress::V6(message->target);
  if (target.IsV4()) return Verdict::Continue();  // ::ffff:0:0/96: not for IPv6 to ask
  const NeighbourRow* row = Known(passage, target);
  if (row == nullptr) return Verdict::Continue();

  constexpr uint16_t kLength = sizeof(NeighbourMessage) + sizeof(LinkLayerAddressOption);
  if (!frame->Resize(key.l4_offset + kLength)) return Verdict::Continue();
  auto* ethernet = frame->Get<EthernetHeader>(0);
  ethernet->destination = ethernet->source;
  ethernet->source = row->mac;
  auto* ip = frame->Get<Ipv6Header>(key.l3_offset);
  ip->payload_length.Set(kLength);
  memcpy(ip->destination, key.source.bytes, 16);
  memcpy(ip->source, target.bytes, 16);
  message = frame->Get<NeighbourMessage>(key.l4_offset);
  message->icmp = {};
  message->icmp.type = kIcmpV6NeighbourAdvertisement;
  message->icmp.rest.Set(kAdvertisementSolicited | kAdvertisementOverride |
                         (row->gateway ? kAdvertisementRouter : 0));
  auto* option = frame->Get<LinkLayerAddressOption>(
      key.l4_offset + static_cast<uint32_t>(sizeof(NeighbourMessage)));
  option->type = 2;
  option->length = 1;
  option->mac = row->mac;
  ChecksumSum sum;
  AddPseudoHeader(&sum, *ip, kProtocolIcmpV6, kLength);
  sum.Add(frame->data() + key.l4_offset, kLength);
  sum.StoreChecksum(&message->icmp.checksum);
  frame->offload = {};
  return Verdict::Reply(Counter::nd_answered);
}

}  // namespace

Verdict AnswerNeighbour(Passage* passage, Frame* frame) {
  switch (passage->key.kind) {
    case PacketKey::Kind::kArp:
      return AnswerArp(passage, frame);
    case PacketKey::Kind::kIpv6:
      return AnswerSolicitation(passage, frame);
    case PacketKey::Kind::kIpv4:
    case PacketKey::Kind::kOther:
      return Verdict::Continue();
  }
  return Verdict::Continue();
}

}  // namespace weft
