#include "../pipeline/icmp_error.h"

#include <algorithm>

#include "../wire/checksum.h"
#include "../wire/ethernet.h"
#include "../wire/icmp.h"
#include "../wire/ip.h"

namespace weft {

namespace {

// How much of the packet is quoted: an IPv4 error stays within 576 bytes (RFC 1812
// section 4.3.2.3), an IPv6 error within the minimum MTU of 1280 (RFC 4443 section 2.4 c).
constexpr uint32_t kLongestIpv4Error = 576;
constexpr uint32_t kLongestIpv6Error = 1280;

struct TypeAndCode {
  uint8_t type;
  uint8_t code;
};

TypeAndCode Ipv4Code(IcmpError error) {
  switch (error) {
    case IcmpError::kTooBig:
      return {kIcmpUnreachable, kIcmpFragmentationNeeded};
    case IcmpError::kTimeExceeded:
      return {kIcmpTimeExceeded, 0};
    case IcmpError::kNoRoute:
      return {kIcmpUnreachable, kIcmpNetUnreachable};
    case IcmpError::kHostUnreachable:
      return {kIcmpUnreachable, kIcmpHostUnreachable};
    case IcmpError::kProtocolUnreachable:
      return {kIcmpUnreachable, kIcmpProtocolUnreachable};
    case IcmpError::kPortUnreachable:
      return {kIcmpUnreachable, kIcmpPortUnreachable};
  }
  return {kIcmpUnreachable, kIcmpHostUnreachable};
}

TypeAndCode Ipv6Code(IcmpError error) {
  switch (error) {
    case IcmpError::kTooBig:
      return {kIcmpV6PacketTooBig, 0};
    case IcmpError::kTimeExceeded:
      return {kIcmpV6TimeExceeded, 0};
    case IcmpError::kNoRoute:
      return {kIcmpV6Unreachable, kIcmpV6NoRoute};
    case IcmpError::kHostUnreachable:
      return {kIcmpV6Unreachable, kIcmpV6AddressUnreachable};
    case IcmpError::kProtocolUnreachable:
    case IcmpError::kPortUnreachable:
      return {kIcmpV6Unreachable, kIcmpV6PortUnreachable};
  }
  return {kIcmpV6Unreachable, kIcmpV6NoRoute};
}

// RFC 1122 section 3.2.2 and RFC 4443 section 2.4 e: no error about an error, about a fragment
// other than the first, to or about a group, to nobody.
bool MayBeTold(const Frame& frame, const PacketKey& key, IcmpError error) {
  if (!key.IsIp()) return false;
  if (key.source.IsUnspecified() || key.source.IsGroup()) return false;
  if (key.fragment && !key.first_fragment) return false;
  const bool group = key.destination_mac.IsGroup() || key.destination.IsGroup();
  const bool group_allowed = key.kind == PacketKey::Kind::kIpv6 && error == IcmpError::kTooBig;
  if (group && !group_allowed) return false;

  const auto* icmp = key.l4_offset == 0 ? nullptr : frame.Get<IcmpHeader>(key.l4_offset);
  if (key.protocol == kProtocolIcmp && key.kind == PacketKey::Kind::kIpv4) {
    if (icmp == nullptr) return false;
    switch (icmp->type) {
      case kIcmpUnreachable:
      case kIcmpSourceQuench:
      case kIcmpRedirect:
      case kIcmpTimeExceeded:
      case kIcmpParameterProblem:
        return false;
      default:
        return true;
    }
  }
  if (key.protocol == kProtocolIcmpV6 && key.kind == PacketKey::Kind::kIpv6) {
    return icmp != nullptr && icmp->type >= 128;  // below 128 are the errors
  }
  return true;
}

void WriteEthernet(Frame* frame, const PacketKey& key, const NetworkRow& network) {
  auto* ethernet = frame->Get<EthernetHeader>(0);
  ethernet->destination = key.source_mac;
  ethernet->source = network.gateway_mac.IsZero() ? key.destination_mac : network.gateway_mac;
  ethernet->type.Set(key.ether_type);
}

bool WriteIpv4Error(Frame* frame, const PacketKey& key, const NetworkRow& network, TypeAndCode code,
                    uint16_t mtu) {
  constexpr uint32_t kAdded = sizeof(Ipv4Header) + sizeof(IcmpHeader);
  const uint32_t quoted = std::min(key.l3_length, kLongestIpv4Error - kAdded);
  // The quoted packet stays where it is; the new headers go in front, over the old Ethernet header.
  if (!frame->Prepend(kAdded) || !frame->Resize(key.l3_offset + kAdded + quoted)) return false;
  WriteEthernet(frame, key, network);

  auto* ip = frame->Get<Ipv4Header>(key.l3_offset);
  *ip = {};
  ip->version_and_words = 0x45;
  ip->total_length.Set(kAdded + quoted);
  ip->ttl = kDefaultTtl;
  ip->protocol = kProtocolIcmp;
  const IpAddress& from = network.gateway4.IsUnspecified() ? key.destination : network.gateway4;
  memcpy(ip->source, from.V4Bytes(), 4);
  memcpy(ip->destination, key.source.V4Bytes(), 4);
  StoreIpv4Checksum(ip, sizeof(Ipv4Header));

  auto* icmp = frame->Get<IcmpHeader>(key.l3_offset + sizeof(Ipv4Header));
  *icmp = {};
  icmp->type = code.type;
  icmp->code = code.code;
  icmp->rest.Set(mtu);  // RFC 1191 section 4: the low 16 bits are the next hop's MTU
  ChecksumSum sum;
  sum.Add(reinterpret_cast<const uint8_t*>(icmp), sizeof(IcmpHeader) + quoted);
  sum.StoreChecksum(&icmp->checksum);
  return true;
}

// A gateway without an IPv6 address speaks from the link-local address of its MAC (RFC 4291
// appendix A).
IpAddress Ipv6Source(const PacketKey& key, const NetworkRow& network) {
  if (!network.gateway6.IsUnspecified()) return network.gateway6;
  if (network.gateway_mac.IsZero()) return key.destination;
  const uint8_t* mac = network.gateway_mac.bytes;
  return IpAddress{{0xfe, 0x80, 0, 0, 0, 0, 0, 0, static_cast<uint8_t>(mac[0] ^ 2), mac[1], mac[2],
                    0xff, 0xfe, mac[3], mac[4], mac[5]}};
}

bool WriteIpv6Error(Frame* frame, const PacketKey& key, const NetworkRow& network, TypeAndCode code,
                    uint16_t mtu) {
  constexpr uint32_t kAdded = sizeof(Ipv6Header) + sizeof(IcmpHeader);
  const uint32_t quoted = std::min(key.l3_length, kLongestIpv6Error - kAdded);
  if (!frame->Prepend(kAdded) || !frame->Resize(key.l3_offset + kAdded + quoted)) return false;
  WriteEthernet(frame, key, network);

  auto* ip = frame->Get<Ipv6Header>(key.l3_offset);
  *ip = {};
  ip->version_class_label.Set(6u << 28);
  const auto length = static_cast<uint16_t>(sizeof(IcmpHeader) + quoted);
  ip->payload_length.Set(length);
  ip->next_header = kProtocolIcmpV6;
  ip->hop_limit = kDefaultTtl;
  memcpy(ip->source, Ipv6Source(key, network).bytes, 16);
  memcpy(ip->destination, key.source.bytes, 16);

  auto* icmp = frame->Get<IcmpHeader>(key.l3_offset + sizeof(Ipv6Header));
  *icmp = {};
  icmp->type = code.type;
  icmp->code = code.code;
  icmp->rest.Set(mtu);
  ChecksumSum sum;
  AddPseudoHeader(&sum, *ip, kProtocolIcmpV6, length);
  sum.Add(reinterpret_cast<const uint8_t*>(icmp), length);
  sum.StoreChecksum(&icmp->checksum);
  return true;
}

}  // namespace

Verdict ReplyWithIcmpError(Passage* passage, Frame* frame, const NetworkRow& network,
                           IcmpError error, uint16_t mtu) {
  const PacketKey& key = passage->key;
  if (!MayBeTold(*frame, key, error)) {
    return Verdict::Drop(error == IcmpError::kTooBig && !key.IsIp()
                             ? Counter::drop_too_big
                             : Counter::drop_no_icmp_allowed);
  }
  if (passage->icmp_budget == nullptr || !passage->icmp_budget->Take(passage->now_ns)) {
    return Verdict::Drop(Counter::drop_icmp_rate_limited);
  }
  const bool written = key.kind == PacketKey::Kind::kIpv4
                           ? WriteIpv4Error(frame, key, network, Ipv4Code(error), mtu)
                           : WriteIpv6Error(frame, key, network, Ipv6Code(error), mtu);
  if (!written) return Verdict::Drop(Counter::drop_no_icmp_allowed);
  frame->offload = {};
  return Verdict::Reply(Counter::icmp_errors_sent);
}

}  // namespace weft
