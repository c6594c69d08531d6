#include "../pipeline/recover_offload.h"

#include <utility>

#include "../wire/checksum.h"
#include "../wire/ip.h"
#include "../wire/transport.h"

namespace weft {

namespace {

// Whether the checksum field holds the pseudo-header's sum, as left by a sender that offloads.
bool OwesChecksum(const Frame& frame, const PacketKey& key, uint16_t checksum_offset) {
  const uint32_t l3_end = key.l3_offset + key.l3_length;
  const auto l4_length = static_cast<uint16_t>(l3_end - key.l4_offset);
  ChecksumSum sum;
  if (key.kind == PacketKey::Kind::kIpv4) {
    AddPseudoHeader(&sum, *frame.Get<Ipv4Header>(key.l3_offset), l4_length);
  } else {
    AddPseudoHeader(&sum, *frame.Get<Ipv6Header>(key.l3_offset), key.protocol, l4_length);
  }
  Be16 expected;
  sum.StoreSum(&expected);
  return frame.Get<Be16>(key.l4_offset + checksum_offset)->Get() == expected.Get();
}

}  // namespace

void RecoverOffload(const Passage& passage, Frame* frame) {
  const PacketKey& key = passage.key;
  // Put together from datagrams whose checksums were right: it is told already.
  if (frame->offload.needs_checksum) return;
  const uint16_t told = std::exchange(frame->offload.gso_size, uint16_t{0});
  if (!key.IsIp() || key.fragment || key.l4_offset == 0) return;
  const bool tcp = key.protocol == kProtocolTcp;
  if (!tcp && key.protocol != kProtocolUdp) return;
  const uint16_t checksum_offset = tcp ? kTcpChecksumOffset : kUdpChecksumOffset;
  if (!OwesChecksum(*frame, key, checksum_offset)) return;

  // What stands behind the packet would be summed with it.
  frame->Resize(key.l3_offset + key.l3_length);
  Offload& offload = frame->offload;
  offload.needs_checksum = true;
  offload.checksum_start = key.l4_offset;
  offload.checksum_offset = checksum_offset;
  if (!tcp && told != 0) {
    offload.gso = Gso::kUdp;
    offload.gso_size = told;
    return;
  }
  const uint32_t headers = key.l4_offset + key.l4_header_length - key.l3_offset;
  const uint32_t mtu = passage.network->mtu;
  if (!tcp || key.l3_length <= mtu || headers >= mtu) return;
  offload.gso = key.kind == PacketKey::Kind::kIpv4 ? Gso::kTcpV4 : Gso::kTcpV6;
  offload.gso_size = static_cast<uint16_t>(mtu - headers);
}

}  // namespace weft
