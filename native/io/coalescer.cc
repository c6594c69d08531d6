#include "../io/coalescer.h"

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "../wire/checksum.h"
#include "../wire/ethernet.h"
#include "../wire/ip.h"
#include "../wire/transport.h"
#include "../wire/vxlan.h"

namespace weft {

namespace {

// Offsets from the VXLAN header on. What has VLAN tags, IP options or extension headers is not
// read.
constexpr uint32_t kEthernet = sizeof(VxlanHeader);
constexpr uint32_t kIp = kEthernet + sizeof(EthernetHeader);
constexpr uint32_t kIpv4L4 = kIp + sizeof(Ipv4Header);
constexpr uint32_t kIpv6L4 = kIp + sizeof(Ipv6Header);

constexpr uint16_t kDontFragment = 0x4000;
// What an IP header can tell of.
constexpr uint32_t kMostIpBytes = 65535;

template <typename T>
T* At(uint8_t* bytes, uint32_t offset) {
  return reinterpret_cast<T*>(bytes + offset);
}

uint32_t Word(const uint8_t* bytes) {
  uint32_t word;
  memcpy(&word, bytes, sizeof(word));
  return word;
}

bool Equal(const uint8_t* a, const uint8_t* b, uint32_t offset, uint32_t length) {
  return memcmp(a + offset, b + offset, length) == 0;
}

void AddPseudo(ChecksumSum* sum, uint8_t* bytes, bool ipv4, bool tcp, uint32_t l4_length) {
  const auto length = static_cast<uint16_t>(l4_length);
  if (ipv4) {
    AddPseudoHeader(sum, *At<Ipv4Header>(bytes, kIp), length);
  } else {
    AddPseudoHeader(sum, *At<Ipv6Header>(bytes, kIp), tcp ? kProtocolTcp : kProtocolUdp, length);
  }
}

}  // namespace

void Coalescer::Take(const Arrival& arrival, bool udp, FrameSink* sink) {
  const uint32_t step = arrival.segment == 0 ? arrival.length : arrival.segment;
  uint32_t at = 0;
  do {
    Segment segment;
    segment.bytes = arrival.bytes + at;
    // What stands before a later one is another's.
    segment.headroom = at == 0 ? arrival.headroom : 0;
    segment.length = std::min(step, arrival.length - at);
    segment.source = arrival.source;
    segment.tos = arrival.tos;
    segment.inner_segment = arrival.inner_segment;
    if (arrival.inner_segment == 0) Read(udp, &segment);
    TakeOne(&segment, sink);
    at += step;
  } while (at < arrival.length);
}

void Coalescer::Read(bool udp, Segment* segment) {
  uint8_t* bytes = segment->bytes;
  if (segment->length < kIpv4L4 + sizeof(UdpHeader)) return;
  const uint16_t type = At<EthernetHeader>(bytes, kEthernet)->type.Get();
  uint32_t ip_length;
  uint8_t protocol;
  bool plain = true;
  uint32_t flow = Word(bytes + 4);  // VNI
  if (type == kEtherTypeIpv4) {
    const auto* ip = At<Ipv4Header>(bytes, kIp);
    if (ip->version_and_words != 0x45 || (ip->flags_and_offset.Get() & ~kDontFragment) != 0) return;
    segment->ipv4 = true;
    segment->l4 = kIpv4L4;
    ip_length = ip->total_length.Get();
    protocol = ip->protocol;
    flow = flow * 31 + Word(ip->source);
    flow = flow * 31 + Word(ip->destination);
    ChecksumSum sum;
    sum.Add(bytes + kIp, sizeof(Ipv4Header));
    plain = sum.IsAllOnes();
  } else if (type == kEtherTypeIpv6) {
    if (segment->length < kIpv6L4 + sizeof(UdpHeader)) return;
    const auto* ip = At<Ipv6Header>(bytes, kIp);
    segment->ipv4 = false;
    segment->l4 = kIpv6L4;
    ip_length = ip->payload_length.Get() + static_cast<uint32_t>(sizeof(Ipv6Header));
    protocol = ip->next_header;
    flow = flow * 31 + Word(ip->source + 12);
    flow = flow * 31 + Word(ip->destination + 12);
  } else {
    return;
  }
  if (protocol != kProtocolTcp && protocol != kProtocolUdp) return;
  segment->tcp = protocol == kProtocolTcp;
  segment->flow = (flow * 31 + Word(bytes + segment->l4)) * 31 + protocol;
  segment->kind = Segment::Kind::kAlone;
  // Padding behind the packet, or a packet that says more than there is, is not for us to judge.
  if (!plain || ip_length != segment->length - kIp) return;

  if (segment->tcp) {
    if (segment->length < segment->l4 + sizeof(TcpHeader)) return;
    const auto* tcp = At<TcpHeader>(bytes, segment->l4);
    if (tcp->HeaderLength() < sizeof(TcpHeader)) return;
    segment->payload = segment->l4 + tcp->HeaderLength();
    constexpr uint8_t kOrdinary = kTcpAck | kTcpPsh | kTcpFin | kTcpEce | kTcpCwr;
    if ((tcp->flags & kTcpAck) == 0 || (tcp->flags & ~kOrdinary) != 0) return;
    // One nibble is reserved, or of a TCP that we do not know (RFC 3540, accurate ECN).
    if ((tcp->words_and_reserved & 0x0f) != 0) return;
  } else {
    if (!udp) return;
    const auto* header = At<UdpHeader>(bytes, segment->l4);
    segment->payload = segment->l4 + static_cast<uint32_t>(sizeof(UdpHeader));
    if (header->length.Get() != segment->length - segment->l4) return;
    if (header->checksum.Get() == 0) return;
  }
  if (segment->payload < segment->length) segment->kind = Segment::Kind::kPart;
}

bool Coalescer::SameFlow(const Segment& a, const Segment& b) {
  if (a.flow != b.flow || a.ipv4 != b.ipv4 || a.tcp != b.tcp) return false;
  const uint32_t addresses = a.ipv4 ? kIp + 12 : kIp + 8;
  // Addresses, then the ports.
  return Equal(a.bytes, b.bytes, 4, 3) && Equal(a.bytes, b.bytes, addresses, a.l4 + 4 - addresses);
}

void Coalescer::TakeOne(Segment* segment, FrameSink* sink) {
  if (segment->kind == Segment::Kind::kOther) {
    // A fragment, an ICMP message: whose flow it belongs to is not known here.
    Flush(sink);
  } else if (held_count_ > 0) {
    for (Held& held : held_) {
      if (held.count == 0 || !SameFlow(held.first, *segment)) continue;
      if (segment->kind == Segment::Kind::kPart && Continues(&held, *segment)) {
        if (held.closed) Give(&held, sink);
        return;
      }
      Give(&held, sink);
      break;
    }
  }
  if (segment->kind != Segment::Kind::kPart) {
    Frame frame(segment->bytes - segment->headroom, segment->headroom + segment->length,
                segment->length, segment->headroom);
    // Not an offload yet: whether it is one, the pipeline finds out (recover_offload).
    frame.offload.gso_size = static_cast<uint16_t>(segment->inner_segment);
    sink->Take(segment->source, segment->tos, &frame);
    return;
  }

  Held* place = &held_[next_place_];
  for (Held& held : held_) {
    if (held.count == 0) place = &held;
  }
  if (place->count > 0) {
    Give(place, sink);
    next_place_ = (next_place_ + 1) % kPlaces;
  }
  place->first = *segment;
  place->count = 1;
  place->verified = false;
  place->last_flags = 0;
  place->tail_bytes = 0;
  place->closed = false;
  if (segment->tcp) {
    const auto* tcp = At<TcpHeader>(segment->bytes, segment->l4);
    place->last_flags = tcp->flags & (kTcpFin | kTcpPsh);
    place->closed = place->last_flags != 0;
  }
  held_count_++;
  if (place->closed) Give(place, sink);
}

namespace {

bool ChecksumIsRight(uint8_t* bytes, uint32_t length, uint32_t l4, bool ipv4, bool tcp) {
  ChecksumSum sum;
  AddPseudo(&sum, bytes, ipv4, tcp, length - l4);
  sum.Add(bytes + l4, length - l4);
  return sum.IsAllOnes();
}

// Everything in the headers that a sender's own segmentation leaves alike, but for sequence number
// and checksums.
bool HeadersFollow(uint8_t* first, uint8_t* next, uint32_t l4, uint32_t payload, bool ipv4,
                   bool tcp, uint32_t index) {
  if (!Equal(first, next, 0, kIp)) return false;
  if (ipv4) {
    const auto* a = At<Ipv4Header>(first, kIp);
    const auto* b = At<Ipv4Header>(next, kIp);
    if (a->tos != b->tos || a->ttl != b->ttl) return false;
    if (a->flags_and_offset.Get() != b->flags_and_offset.Get()) return false;
    // RFC 6864 section 4.1: without DF the id counts, and a superframe's counts up; with DF it
    // means nothing.
    const bool counts = static_cast<uint16_t>(a->id.Get() + index) == b->id.Get();
    if (!counts && (a->flags_and_offset.Get() & kDontFragment) == 0) return false;
  } else if (!Equal(first, next, kIp, 4) || !Equal(first, next, kIp + 7, 1)) {
    return false;  // class and flow label, hop limit
  }
  if (!tcp) return true;
  const auto* a = At<TcpHeader>(first, l4);
  const auto* b = At<TcpHeader>(next, l4);
  // CWR stands in the first segment only, FIN and PSH in the last.
  if ((b->flags & kTcpCwr) != 0) return false;
  if (((a->flags ^ b->flags) & ~(kTcpCwr | kTcpFin | kTcpPsh)) != 0) return false;
  if (a->words_and_reserved != b->words_and_reserved) return false;
  if (!Equal(first, next, l4 + 8, 4) || !Equal(first, next, l4 + 14, 2)) return false;
  const uint32_t options = l4 + static_cast<uint32_t>(sizeof(TcpHeader));
  return Equal(first, next, l4 + 18, 2) && Equal(first, next, options, payload - options);
}

}  // namespace

bool Coalescer::Continues(Held* held, const Segment& segment) {
  const Segment& first = held->first;
  const uint32_t size = first.payload_length();
  const uint32_t length = segment.payload_length();
  const uint32_t total = first.length - kIp + held->tail_bytes + length;
  if (held->closed || held->count == kMaxCoalesced) return false;
  if (length > size || total > kMostIpBytes || segment.payload != first.payload) return false;
  if (segment.source != first.source || segment.tos != first.tos) return false;
  if (!HeadersFollow(first.bytes, segment.bytes, first.l4, first.payload, first.ipv4, first.tcp,
                     held->count)) {
    return false;
  }
  if (first.tcp) {
    const auto* a = At<TcpHeader>(first.bytes, first.l4);
    const auto* b = At<TcpHeader>(segment.bytes, segment.l4);
    if (b->sequence.Get() != a->sequence.Get() + size + held->tail_bytes) return false;
  }
  if (!held->verified) {
    held->verified = ChecksumIsRight(first.bytes, first.length, first.l4, first.ipv4, first.tcp);
    if (!held->verified) return false;
  }
  if (!ChecksumIsRight(segment.bytes, segment.length, segment.l4, segment.ipv4, segment.tcp)) {
    return false;
  }
  held->tail[held->count - 1] = {segment.bytes + segment.payload, length};
  held->tail_bytes += length;
  held->count++;
  held->closed = length < size;
  if (segment.tcp) {
    const auto* tcp = At<TcpHeader>(segment.bytes, segment.l4);
    held->last_flags = tcp->flags & (kTcpFin | kTcpPsh);
    if (held->last_flags != 0) held->closed = true;
  }
  return true;
}

void Coalescer::Give(Held* held, FrameSink* sink) {
  const Segment& first = held->first;
  Frame frame(first.bytes - first.headroom, first.headroom + first.length, first.length,
              first.headroom);
  if (held->count > 1) {
    const uint32_t ip_length = first.length - kIp + held->tail_bytes;
    const uint32_t l4_length = ip_length - (first.l4 - kIp);
    if (first.ipv4) {
      auto* ip = At<Ipv4Header>(first.bytes, kIp);
      ip->total_length.Set(ip_length);
      StoreIpv4Checksum(ip, sizeof(Ipv4Header));
    } else {
      At<Ipv6Header>(first.bytes, kIp)->payload_length.Set(ip_length - sizeof(Ipv6Header));
    }
    ChecksumSum pseudo;
    AddPseudo(&pseudo, first.bytes, first.ipv4, first.tcp, l4_length);
    Offload& offload = frame.offload;
    if (first.tcp) {
      auto* tcp = At<TcpHeader>(first.bytes, first.l4);
      tcp->flags |= held->last_flags;
      pseudo.StoreSum(&tcp->checksum);
      offload.gso = first.ipv4 ? Gso::kTcpV4 : Gso::kTcpV6;
      offload.ecn = (tcp->flags & kTcpCwr) != 0;
      offload.checksum_offset = offsetof(TcpHeader, checksum);
    } else {
      auto* udp = At<UdpHeader>(first.bytes, first.l4);
      udp->length.Set(l4_length);
      pseudo.StoreSum(&udp->checksum);
      offload.gso = Gso::kUdp;
      offload.checksum_offset = offsetof(UdpHeader, checksum);
    }
    offload.gso_size = static_cast<uint16_t>(first.payload_length());
    offload.needs_checksum = true;
    offload.checksum_start = static_cast<uint16_t>(first.l4 - kEthernet);
    frame.SetTail(held->tail, held->count - 1, held->tail_bytes);
    frame.datagrams = held->count;
  }
  held->count = 0;
  held_count_--;
  sink->Take(first.source, first.tos, &frame);
}

void Coalescer::Flush(FrameSink* sink) {
  for (Held& held : held_) {
    if (held_count_ == 0) return;
    if (held.count > 0) Give(&held, sink);
  }
}

}  // namespace weft
