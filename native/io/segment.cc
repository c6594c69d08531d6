#include "../io/segment.h"

#include <algorithm>

#include "../wire/checksum.h"
#include "../wire/ethernet.h"
#include "../wire/ip.h"
#include "../wire/transport.h"
#include "../wire/vxlan.h"

namespace weft {

namespace {

void WriteVxlan(uint8_t* head, uint32_t vni) {
  auto* vxlan = reinterpret_cast<VxlanHeader*>(head);
  *vxlan = {};
  vxlan->flags = kVxlanFlagVni;
  vxlan->vni.Set(vni);
}

// A superframe's headers, found to agree with its metadata.
struct Cut {
  bool ipv4;
  bool tcp;
  uint32_t l3_offset;
  uint32_t l4_offset;
  uint32_t headers;  // all of them, Ethernet included
  uint32_t payload;
  uint32_t segment;  // payload of each but the last
  uint32_t count;
};

// The key of a tagged frame tells of the headers behind the tags too.
bool Plan(const Frame& frame, const PacketKey& key, Cut* cut) {
  const Offload& offload = frame.offload;
  cut->tcp = offload.gso != Gso::kUdp;
  cut->l3_offset = key.l3_offset;
  cut->l4_offset = key.l4_offset;
  if (key.l4_offset <= key.l3_offset || key.fragment || offload.gso_size == 0) return false;
  if (key.protocol != (cut->tcp ? kProtocolTcp : kProtocolUdp)) return false;
  if (key.l4_header_length == 0) return false;
  cut->ipv4 = key.ether_type == kEtherTypeIpv4;
  if (offload.gso == Gso::kTcpV4 && !cut->ipv4) return false;
  if (offload.gso == Gso::kTcpV6 && cut->ipv4) return false;
  cut->headers = key.l4_offset + key.l4_header_length;
  if (cut->headers + sizeof(VxlanHeader) > kMaxHead) return false;
  // What the IP header counts is what is cut; Ethernet padding behind it is not payload.
  const uint32_t end = key.l3_offset + key.l3_length;
  if (end <= cut->headers || end > frame.length()) return false;
  cut->payload = end - cut->headers;
  cut->segment = offload.gso_size;
  cut->count = (cut->payload + cut->segment - 1) / cut->segment;
  return cut->count <= kMaxSegments;
}

// Writes the transport header's fields that differ between segments, and the checksum over `body`.
void FinishTransport(const Cut& cut, uint8_t* inner, const uint8_t* body, uint32_t body_length,
                     uint32_t index, bool ecn) {
  const auto l4_length = static_cast<uint16_t>(cut.headers - cut.l4_offset + body_length);
  ChecksumSum sum;
  if (cut.ipv4) {
    AddPseudoHeader(&sum, *reinterpret_cast<Ipv4Header*>(inner + cut.l3_offset), l4_length);
  } else {
    AddPseudoHeader(&sum, *reinterpret_cast<Ipv6Header*>(inner + cut.l3_offset),
                    cut.tcp ? kProtocolTcp : kProtocolUdp, l4_length);
  }
  const bool last = index + 1 == cut.count;
  if (cut.tcp) {
    auto* tcp = reinterpret_cast<TcpHeader*>(inner + cut.l4_offset);
    tcp->sequence.Set(tcp->sequence.Get() + index * cut.segment);
    if (!last) tcp->flags &= static_cast<uint8_t>(~(kTcpFin | kTcpPsh));
    if (index > 0 && ecn) tcp->flags &= static_cast<uint8_t>(~kTcpCwr);
    tcp->checksum.Set(0);
    // The header's length is a multiple of four, so the body may end the sum at an odd byte.
    sum.Add(inner + cut.l4_offset, cut.headers - cut.l4_offset);
    sum.Add(body, body_length);
    sum.StoreChecksum(&tcp->checksum);
  } else {
    auto* udp = reinterpret_cast<UdpHeader*>(inner + cut.l4_offset);
    udp->length.Set(l4_length);
    udp->checksum.Set(0);
    sum.Add(inner + cut.l4_offset, sizeof(UdpHeader));
    sum.Add(body, body_length);
    sum.StoreUdpChecksum(&udp->checksum);
  }
}

void FinishNetwork(const Cut& cut, uint8_t* inner, uint32_t body_length, uint32_t index) {
  const uint32_t l3_length = cut.headers - cut.l3_offset + body_length;
  if (cut.ipv4) {
    auto* ip = reinterpret_cast<Ipv4Header*>(inner + cut.l3_offset);
    ip->total_length.Set(l3_length);
    // As a sender's own segments would have (RFC 6864 asks it of packets that may be fragmented).
    ip->id.Set(ip->id.Get() + index);
    StoreIpv4Checksum(ip, ip->HeaderLength());
  } else {
    auto* ip = reinterpret_cast<Ipv6Header*>(inner + cut.l3_offset);
    ip->payload_length.Set(l3_length - sizeof(Ipv6Header));
  }
}

// The pipeline has judged the frame by its headers as they stood: no checksum may be written into
// them afterwards. An IP packet without a transport header (a later fragment) owes none.
bool OwesOnlyTransport(const Offload& offload, const PacketKey& key) {
  if (!offload.needs_checksum) return true;
  const bool ip = key.ether_type == kEtherTypeIpv4 || key.ether_type == kEtherTypeIpv6;
  if (ip) return key.l4_offset != 0 && offload.checksum_start >= key.l4_offset;
  return offload.checksum_start >= key.l3_offset;
}

}  // namespace

uint32_t EncapsulateAndCut(Frame* frame, const PacketKey& key, uint32_t vni, DatagramSink* sink) {
  if (!frame->offload.IsSuperframe()) {
    if (!OwesOnlyTransport(frame->offload, key) || !FinishChecksum(frame)) return 0;
    // In front of the frame, so that head and body are one piece. A flood writes it several times.
    uint8_t* head = frame->headroom() >= sizeof(VxlanHeader) ? frame->data() - sizeof(VxlanHeader)
                                                             : sink->NextHead();
    WriteVxlan(head, vni);
    sink->Take({head, sizeof(VxlanHeader), frame->data(), frame->length()});
    return 1;
  }

  Cut cut;
  if (!Plan(*frame, key, &cut)) return 0;
  const uint8_t* payload = frame->data() + cut.headers;
  for (uint32_t index = 0; index < cut.count; index++) {
    const uint8_t* body = payload + index * cut.segment;
    const uint32_t body_length = std::min(cut.segment, cut.payload - index * cut.segment);
    uint8_t* head = sink->NextHead();
    uint8_t* inner = head + sizeof(VxlanHeader);
    WriteVxlan(head, vni);
    memcpy(inner, frame->data(), cut.headers);
    FinishNetwork(cut, inner, body_length, index);
    FinishTransport(cut, inner, body, body_length, index, frame->offload.ecn);
    sink->Take({head, static_cast<uint32_t>(sizeof(VxlanHeader)) + cut.headers, body, body_length});
  }
  return cut.count;
}

}  // namespace weft
