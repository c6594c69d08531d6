// Datagrams from other hosts, inward.

#ifndef WEFT_PIPELINE_FROM_UNDERLAY_H_
#define WEFT_PIPELINE_FROM_UNDERLAY_H_

#include "../pipeline/verdict.h"
#include "../tables/tables.h"
#include "../wire/frame.h"
#include "../wire/packet_key.h"

namespace weft {

// Decides about a datagram from the VTEP `source`; `frame` begins with the VXLAN header and
// afterwards, unless the verdict is a drop, with the inner Ethernet header.
// `traffic_class`: the outer header's.
Verdict FromUnderlay(const Tables& tables, VtepAddress source, uint8_t traffic_class,
                     uint64_t now_ns, Frame* frame, PacketKey* key);

}  // namespace weft

#endif  // WEFT_PIPELINE_FROM_UNDERLAY_H_
