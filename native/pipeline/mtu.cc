#include "../pipeline/mtu.h"

#include "../pipeline/icmp_error.h"

namespace weft {

namespace {

// The size that the largest packet of this frame has on the wire, from the IP header on.
uint32_t LargestPacket(const Frame& frame, const PacketKey& key) {
  if (!frame.offload.IsSuperframe()) return frame.length() - key.l3_offset;
  const uint32_t headers = key.l4_offset + key.l4_header_length - key.l3_offset;
  const uint32_t segment = headers + frame.offload.gso_size;
  const uint32_t whole = frame.length() - key.l3_offset;
  return segment < whole ? segment : whole;
}

}  // namespace

Verdict CheckMtu(Passage* passage, Frame* frame, const NetworkRow& from) {
  const PacketKey& key = passage->key;
  if (frame->offload.IsSuperframe() && (key.l4_offset == 0 || key.l4_header_length == 0)) {
    return Verdict::Drop(Counter::drop_bad_offload);
  }
  const uint16_t mtu = passage->network->mtu;
  if (LargestPacket(*frame, key) <= mtu) return Verdict::Continue();
  return ReplyWithIcmpError(passage, frame, from, IcmpError::kTooBig, mtu);
}

}  // namespace weft
