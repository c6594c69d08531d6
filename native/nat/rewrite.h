// Rewriting a packet's ends: addresses, ports, and every checksum that covers them, by the
// difference alone. So the payload is not read, and what was wrong stays wrong.

#ifndef WEFT_NAT_REWRITE_H_
#define WEFT_NAT_REWRITE_H_

#include <cstdint>

#include "../nat/flow.h"
#include "../wire/checksum.h"
#include "../wire/frame.h"
#include "../wire/packet_key.h"

namespace weft {

// An IP packet in a frame; its headers are known to be there.
struct PacketPlace {
  bool v4;
  uint8_t protocol;
  uint32_t l3;
  uint32_t l4;   // 0: no transport header, only addresses
  uint32_t end;  // of the bytes that are there
};

PacketPlace PlaceOf(const PacketKey& key);
// Of a TCP or UDP packet; ports are 0 where there is no transport header.
Ends EndsOf(const PacketKey& key);

// Gives the packet at `place` other ends; `l4` has ports (TCP, UDP) or is 0. Where the frame owes
// its transport checksum, the field holds a sum over the addresses alone and changes by these
// alone. `around`: takes up all that has changed, for a checksum that covers the packet; may be
// nullptr.
void RewriteEnds(Frame* frame, const PacketPlace& place, const Ends& to, ChecksumDelta* around);

// The same for the frame's own packet, its key included.
void RewriteFrame(Frame* frame, PacketKey* key, const Ends& to);

// A packet quoted by an ICMP error.
struct QuotedPacket {
  PacketPlace place;
  Ends ends;
};

// The TCP or UDP packet that the ICMP error in `frame` quotes; false: it is none, or of a later
// fragment.
bool ReadQuoted(const Frame& frame, const PacketKey& key, QuotedPacket* quoted);

// Gives an ICMP error other addresses, and the packet that it quotes other ends.
void RewriteError(Frame* frame, PacketKey* key, IpAddress source, IpAddress destination,
                  const QuotedPacket& quoted, const Ends& to);

}  // namespace weft

#endif  // WEFT_NAT_REWRITE_H_
