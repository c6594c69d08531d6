#include "../nat/rewrite.h"

#include "../wire/icmp.h"
#include "../wire/ip.h"
#include "../wire/transport.h"

namespace weft {

namespace {

constexpr uint16_t kIcmpChecksumOffset = 2;
constexpr int kMostExtensionHeaders = 8;

uint16_t ChecksumOffsetOf(uint8_t protocol) {
  return protocol == kProtocolTcp ? kTcpChecksumOffset : kUdpChecksumOffset;
}

bool Owes(const Offload& offload, uint32_t l4, uint16_t checksum_offset) {
  return offload.needs_checksum && offload.checksum_start == l4 &&
         offload.checksum_offset == checksum_offset;
}

// Writes over what stands there and takes the difference down.
void Replace(uint8_t* at, const uint8_t* bytes, uint32_t length, ChecksumDelta* delta) {
  delta->Change(at, bytes, length);
  memcpy(at, bytes, length);
}

// Source and destination address; the difference that a pseudo-header sees.
ChecksumDelta RewriteAddresses(Frame* frame, const PacketPlace& place, const Ends& to,
                               ChecksumDelta* around) {
  ChecksumDelta addresses;
  uint8_t before[32];
  if (!place.v4) {
    auto* ip = frame->Get<Ipv6Header>(place.l3);
    memcpy(before, ip->source, 32);
    Replace(ip->source, to.source.bytes, 16, &addresses);
    Replace(ip->destination, to.destination.bytes, 16, &addresses);
    if (around != nullptr) around->Change(before, ip->source, 32);
    return addresses;
  }
  auto* ip = frame->Get<Ipv4Header>(place.l3);
  memcpy(before, ip->source, 8);
  Replace(ip->source, to.source.V4Bytes(), 4, &addresses);
  Replace(ip->destination, to.destination.V4Bytes(), 4, &addresses);
  const Be16 checksum = ip->checksum;
  addresses.Update(&ip->checksum);
  if (around != nullptr) {
    around->Change(before, ip->source, 8);
    around->Change(checksum.bytes, ip->checksum.bytes, 2);
  }
  return addresses;
}

}  // namespace

PacketPlace PlaceOf(const PacketKey& key) {
  return {key.kind == PacketKey::Kind::kIpv4, key.protocol, key.l3_offset, key.l4_offset,
          key.l3_offset + key.l3_length};
}

Ends EndsOf(const PacketKey& key) {
  return {key.source, key.destination, key.source_port, key.destination_port};
}

void RewriteEnds(Frame* frame, const PacketPlace& place, const Ends& to, ChecksumDelta* around) {
  ChecksumDelta transport = RewriteAddresses(frame, place, to, around);
  if (place.l4 == 0) return;
  const ChecksumDelta addresses = transport;
  uint8_t* ports = frame->data() + place.l4;
  uint8_t before[4];
  memcpy(before, ports, 4);
  Be16 written[2];
  written[0].Set(to.source_port);
  written[1].Set(to.destination_port);
  Replace(ports, written[0].bytes, 4, &transport);
  if (around != nullptr) around->Change(before, ports, 4);

  const uint16_t offset = ChecksumOffsetOf(place.protocol);
  // Of a quoted packet no more than eight bytes need be there.
  if (place.l4 + offset + 2 > place.end) return;
  auto* field = frame->Get<Be16>(place.l4 + offset);
  const Be16 checksum = *field;
  const bool udp = place.protocol == kProtocolUdp;
  if (around == nullptr && Owes(frame->offload, place.l4, offset)) {
    addresses.UpdateSum(field);
  } else if (!udp || checksum.Get() != 0) {  // 0: the sender has made none
    transport.Update(field);
    if (udp && field->Get() == 0) field->Set(0xffff);
  }
  if (around != nullptr) around->Change(checksum.bytes, field->bytes, 2);
}

void RewriteFrame(Frame* frame, PacketKey* key, const Ends& to) {
  RewriteEnds(frame, PlaceOf(*key), to, nullptr);
  key->source = to.source;
  key->destination = to.destination;
  if (key->l4_offset == 0) return;
  key->source_port = to.source_port;
  key->destination_port = to.destination_port;
}

bool ReadQuoted(const Frame& frame, const PacketKey& key, QuotedPacket* quoted) {
  const uint32_t l3 = key.l4_offset + static_cast<uint32_t>(sizeof(IcmpHeader));
  const uint32_t end = key.l3_offset + key.l3_length;
  PacketPlace& place = quoted->place;
  place = {key.kind == PacketKey::Kind::kIpv4, 0, l3, 0, end};
  const auto has = [&](uint32_t offset, size_t bytes) { return offset + bytes <= end; };
  if (place.v4) {
    if (!has(l3, sizeof(Ipv4Header))) return false;
    const auto* ip = frame.Get<Ipv4Header>(l3);
    if (ip->version_and_words >> 4 != 4 || ip->HeaderLength() < sizeof(Ipv4Header) ||
        ip->FragmentOffset() != 0) {
      return false;
    }
    place.protocol = ip->protocol;
    place.l4 = l3 + ip->HeaderLength();
    quoted->ends.source = IpAddress::V4(ip->source);
    quoted->ends.destination = IpAddress::V4(ip->destination);
  } else {
    if (!has(l3, sizeof(Ipv6Header))) return false;
    const auto* ip = frame.Get<Ipv6Header>(l3);
    if (ip->version_class_label.Get() >> 28 != 6) return false;
    place.protocol = ip->next_header;
    place.l4 = l3 + static_cast<uint32_t>(sizeof(Ipv6Header));
    quoted->ends.source = IpAddress::V6(ip->source);
    quoted->ends.destination = IpAddress::V6(ip->destination);
    if (quoted->ends.source.IsV4() || quoted->ends.destination.IsV4()) return false;
    for (int i = 0; i < kMostExtensionHeaders; i++) {
      const bool fragment = place.protocol == kProtocolFragment;
      const bool option = place.protocol == kProtocolHopByHop ||
                          place.protocol == kProtocolRouting ||
                          place.protocol == kProtocolDestinationOptions;
      if (!fragment && !option) break;
      if (!has(place.l4, sizeof(Ipv6FragmentHeader))) return false;
      const auto* header = frame.Get<Ipv6FragmentHeader>(place.l4);
      if (fragment && (header->offset_and_more.Get() & 0xfff8) != 0) return false;
      place.protocol = header->next_header;
      place.l4 += fragment ? 8 : (header->reserved + 1u) * 8u;
    }
  }
  if (place.protocol != kProtocolTcp && place.protocol != kProtocolUdp) return false;
  // RFC 792: eight bytes of what follows the header, so the ports are there.
  if (!has(place.l4, 8)) return false;
  quoted->ends.source_port = frame.Get<Be16>(place.l4)->Get();
  quoted->ends.destination_port = frame.Get<Be16>(place.l4 + 2)->Get();
  return true;
}

void RewriteError(Frame* frame, PacketKey* key, IpAddress source, IpAddress destination,
                  const QuotedPacket& quoted, const Ends& to) {
  ChecksumDelta covered;
  RewriteEnds(frame, quoted.place, to, &covered);
  PacketPlace outer = PlaceOf(*key);
  const uint32_t l4 = outer.l4;
  outer.l4 = 0;
  const Ends ends{source, destination};
  auto* field = &frame->Get<IcmpHeader>(l4)->checksum;
  ChecksumDelta pseudo;
  RewriteEnds(frame, outer, ends, outer.v4 ? nullptr : &pseudo);
  if (Owes(frame->offload, l4, kIcmpChecksumOffset)) {
    pseudo.UpdateSum(field);
  } else {
    covered.Add(pseudo);
    covered.Update(field);
  }
  key->source = source;
  key->destination = destination;
}

}  // namespace weft
