#include "../pipeline/classify.h"

#include "../wire/ethernet.h"
#include "../wire/icmp.h"
#include "../wire/ip.h"
#include "../wire/transport.h"

namespace weft {

namespace {

// RFC 8200 allows chains of any length; more than this many extension headers is no packet that we
// need to understand.
constexpr int kMaxExtensionHeaders = 8;

// The transport header at `offset` of the packet that ends at `end` (not past the frame's end):
// what stands behind a packet is padding, whatever it looks like.
void ReadTransport(const Frame& frame, uint32_t offset, uint32_t end, PacketKey* key) {
  const auto has = [&](uint32_t bytes) { return offset + bytes <= end; };
  if (key->protocol == kProtocolTcp) {
    if (!has(sizeof(TcpHeader))) return;
    const auto* tcp = frame.Get<TcpHeader>(offset);
    if (tcp->HeaderLength() < sizeof(TcpHeader) || !has(tcp->HeaderLength())) return;
    key->source_port = tcp->source_port.Get();
    key->destination_port = tcp->destination_port.Get();
    key->l4_header_length = static_cast<uint16_t>(tcp->HeaderLength());
  } else if (key->protocol == kProtocolUdp) {
    if (!has(sizeof(UdpHeader))) return;
    const auto* udp = frame.Get<UdpHeader>(offset);
    key->source_port = udp->source_port.Get();
    key->destination_port = udp->destination_port.Get();
    key->l4_header_length = sizeof(UdpHeader);
  } else if (key->protocol == kProtocolIcmp || key->protocol == kProtocolIcmpV6) {
    if (!has(sizeof(IcmpHeader))) return;
    key->l4_header_length = sizeof(IcmpHeader);
  } else if (!has(1)) {
    return;
  }
  key->l4_offset = static_cast<uint16_t>(offset);
}

bool ReadIpv4(const Frame& frame, PacketKey* key) {
  const auto* ip = frame.Get<Ipv4Header>(key->l3_offset);
  if (ip == nullptr || ip->version_and_words >> 4 != 4) return false;
  const uint32_t header_length = ip->HeaderLength();
  if (header_length < sizeof(Ipv4Header) || !frame.Has(key->l3_offset, header_length)) return false;
  const uint32_t total = ip->total_length.Get();
  const uint32_t present = frame.length() - key->l3_offset;
  if (total < header_length || total > present) return false;

  key->kind = PacketKey::Kind::kIpv4;
  key->source = IpAddress::V4(ip->source);
  key->destination = IpAddress::V4(ip->destination);
  key->protocol = ip->protocol;
  key->ttl = ip->ttl;
  key->l3_length = total;
  key->fragment = ip->FragmentOffset() != 0 || ip->MoreFragments();
  key->first_fragment = key->fragment && ip->FragmentOffset() == 0;
  if (key->fragment) key->fragment_id = ip->id.Get();
  if (ip->FragmentOffset() == 0) {
    ReadTransport(frame, key->l3_offset + header_length, key->l3_offset + total, key);
  }
  return true;
}

bool ReadIpv6(const Frame& frame, PacketKey* key) {
  const auto* ip = frame.Get<Ipv6Header>(key->l3_offset);
  if (ip == nullptr || ip->version_class_label.Get() >> 28 != 6) return false;
  const uint32_t total = ip->payload_length.Get() + static_cast<uint32_t>(sizeof(Ipv6Header));
  if (total > frame.length() - key->l3_offset) return false;
  const IpAddress source = IpAddress::V6(ip->source);
  const IpAddress destination = IpAddress::V6(ip->destination);
  // ::ffff:0:0/96 has no place on a wire (RFC 4291 section 2.5.5.2), and to the tables it would be
  // the IPv4 address.
  if (source.IsV4() || destination.IsV4()) return false;

  key->kind = PacketKey::Kind::kIpv6;
  key->source = source;
  key->destination = destination;
  key->ttl = ip->hop_limit;
  key->l3_length = total;
  uint32_t offset = key->l3_offset + static_cast<uint32_t>(sizeof(Ipv6Header));
  uint8_t next = ip->next_header;
  for (int i = 0; i < kMaxExtensionHeaders; i++) {
    if (next == kProtocolFragment) {
      const auto* fragment = frame.Get<Ipv6FragmentHeader>(offset);
      if (fragment == nullptr) return true;
      const uint16_t offset_and_more = fragment->offset_and_more.Get();
      key->fragment = (offset_and_more & 0xfff9) != 0;
      key->first_fragment = key->fragment && (offset_and_more & 0xfff8) == 0;
      if (key->fragment) key->fragment_id = fragment->id.Get();
      next = fragment->next_header;
      offset += sizeof(Ipv6FragmentHeader);
      key->protocol = next;
      if (key->fragment && !key->first_fragment) return true;
    } else if (next == kProtocolHopByHop || next == kProtocolRouting ||
               next == kProtocolDestinationOptions) {
      const auto* extension = frame.Get<uint8_t[2]>(offset);  // next header, length in 8 bytes - 1
      if (extension == nullptr) return true;
      next = (*extension)[0];
      offset += ((*extension)[1] + 1u) * 8u;
    } else {
      break;
    }
  }
  key->protocol = next;
  ReadTransport(frame, offset, key->l3_offset + total, key);
  return true;
}

}  // namespace

bool Classify(const Frame& frame, PacketKey* key) {
  const auto* ethernet = frame.Get<EthernetHeader>(0);
  if (ethernet == nullptr) return false;
  key->source_mac = ethernet->source;
  key->destination_mac = ethernet->destination;
  key->ether_type = ethernet->type.Get();
  key->l3_offset = sizeof(EthernetHeader);

  // A tagged frame belongs to another L2 network than its untagged neighbours: the tables do not
  // speak of it, so it is switched, never answered. Its inner type is read for the sake of the
  // offset that segmentation needs.
  bool tagged = false;
  for (int tags = 0; tags < 2; tags++) {
    if (key->ether_type != kEtherTypeVlan && key->ether_type != kEtherTypeServiceVlan) break;
    const auto* tag = frame.Get<VlanTag>(key->l3_offset);
    if (tag == nullptr) return true;
    key->ether_type = tag->type.Get();
    key->l3_offset += sizeof(VlanTag);
    tagged = true;
  }

  if (key->ether_type == kEtherTypeArp) {
    key->kind = PacketKey::Kind::kArp;
  } else if (key->ether_type == kEtherTypeIpv4) {
    ReadIpv4(frame, key);
  } else if (key->ether_type == kEtherTypeIpv6) {
    ReadIpv6(frame, key);
  }
  if (tagged) key->kind = PacketKey::Kind::kOther;
  return true;
}

}  // namespace weft
