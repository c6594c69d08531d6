#include "../pipeline/tcp_reset.h"

#include "../wire/checksum.h"
#include "../wire/ethernet.h"
#include "../wire/ip.h"
#include "../wire/transport.h"

namespace weft {

namespace {

struct Segment {
  uint32_t sequence;
  uint32_t acknowledgement;
  uint8_t flags;
};

// A frame of nothing but headers.
void WriteSegment(Frame* frame, const MacAddress& from, const MacAddress& to, const Ends& ends,
                  const Segment& segment) {
  const bool v4 = ends.source.IsV4();
  constexpr uint32_t kL3 = sizeof(EthernetHeader);
  const uint32_t l4 = kL3 + static_cast<uint32_t>(v4 ? sizeof(Ipv4Header) : sizeof(Ipv6Header));
  frame->Resize(l4 + sizeof(TcpHeader));
  auto* ethernet = frame->Get<EthernetHeader>(0);
  ethernet->destination = to;
  ethernet->source = from;
  ethernet->type.Set(v4 ? kEtherTypeIpv4 : kEtherTypeIpv6);

  auto* tcp = frame->Get<TcpHeader>(l4);
  *tcp = {};
  tcp->source_port.Set(ends.source_port);
  tcp->destination_port.Set(ends.destination_port);
  tcp->sequence.Set(segment.sequence);
  tcp->acknowledgement.Set(segment.acknowledgement);
  tcp->words_and_reserved = sizeof(TcpHeader) / 4 << 4;
  tcp->flags = segment.flags;

  ChecksumSum sum;
  if (v4) {
    auto* ip = frame->Get<Ipv4Header>(kL3);
    *ip = {};
    ip->version_and_words = 0x45;
    ip->total_length.Set(sizeof(Ipv4Header) + sizeof(TcpHeader));
    ip->flags_and_offset.Set(0x4000);  // as Linux sends resets: DF, identification 0
    ip->ttl = kDefaultTtl;
    ip->protocol = kProtocolTcp;
    memcpy(ip->source, ends.source.V4Bytes(), 4);
    memcpy(ip->destination, ends.destination.V4Bytes(), 4);
    StoreIpv4Checksum(ip, sizeof(Ipv4Header));
    AddPseudoHeader(&sum, *ip, sizeof(TcpHeader));
  } else {
    auto* ip = frame->Get<Ipv6Header>(kL3);
    *ip = {};
    ip->version_class_label.Set(6u << 28);
    ip->payload_length.Set(sizeof(TcpHeader));
    ip->next_header = kProtocolTcp;
    ip->hop_limit = kDefaultTtl;
    memcpy(ip->source, ends.source.bytes, 16);
    memcpy(ip->destination, ends.destination.bytes, 16);
    AddPseudoHeader(&sum, *ip, kProtocolTcp, sizeof(TcpHeader));
  }
  sum.Add(reinterpret_cast<const uint8_t*>(tcp), sizeof(TcpHeader));
  sum.StoreChecksum(&tcp->checksum);
  frame->offload = {};
}

}  // namespace

Verdict ReplyWithReset(Passage* passage, Frame* frame) {
  const PacketKey& key = passage->key;
  const auto* tcp = frame->Get<TcpHeader>(key.l4_offset);
  const uint32_t end = key.l3_offset + key.l3_length;
  uint32_t length = end - key.l4_offset - key.l4_header_length;
  if ((tcp->flags & kTcpSyn) != 0) length++;
  if ((tcp->flags & kTcpFin) != 0) length++;
  Segment segment{0, tcp->sequence.Get() + length, kTcpRst | kTcpAck};
  if ((tcp->flags & kTcpAck) != 0) segment = {tcp->acknowledgement.Get(), 0, kTcpRst};
  const Ends ends{key.destination, key.source, key.destination_port, key.source_port};
  WriteSegment(frame, key.destination_mac, key.source_mac, ends, segment);
  return Verdict::Reply(Counter::tcp_resets_sent);
}

void WriteProbe(Frame* frame, const Flow& flow, const MacAddress& client, const MacAddress& vip) {
  // Anything outside of the window; the chance of being inside is small, and an acknowledgement of
  // what was not sent is answered as well.
  const Segment segment{flow.check, ~flow.check, kTcpAck};
  WriteSegment(frame, vip, client, flow.Original().Reversed(), segment);
}

}  // namespace weft
