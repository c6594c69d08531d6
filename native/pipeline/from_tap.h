// Frames from a local endpoint, outward.

#ifndef WEFT_PIPELINE_FROM_TAP_H_
#define WEFT_PIPELINE_FROM_TAP_H_

#include "../nat/conntrack.h"
#include "../pipeline/icmp_budget.h"
#include "../pipeline/verdict.h"
#include "../tables/tables.h"
#include "../wire/frame.h"
#include "../wire/packet_key.h"

namespace weft {

// Decides about a frame that the endpoint at `port` has sent; may rewrite it. `key` is filled in
// for who carries the verdict out (the flow hash) and for who traces it. `conntrack` is that of the
// endpoint's worker; nullptr: VIPs are addresses like others.
Verdict FromTap(const Tables& tables, PortId port, IcmpBudget* icmp_budget, Conntrack* conntrack,
                uint64_t now_ns, Frame* frame, PacketKey* key);

}  // namespace weft

#endif  // WEFT_PIPELINE_FROM_TAP_H_
