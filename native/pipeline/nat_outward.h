// NAT outward: what a client sends to a VIP goes to a backend.
//
// Before the gateway: what leaves this stage is addressed to the backend, by its MAC where it is in
// the client's subnet, else by the gateway's, and goes on like any frame.

#ifndef WEFT_PIPELINE_NAT_OUTWARD_H_
#define WEFT_PIPELINE_NAT_OUTWARD_H_

#include "../pipeline/passage.h"
#include "../wire/frame.h"

namespace weft {

// Continue: not for a VIP, or rewritten. Final: answered (a ping, a reset, an ICMP error), dropped,
// or for the backend that sent it (hairpin).
Verdict TranslateOutward(Passage* passage, Frame* frame);

}  // namespace weft

#endif  // WEFT_PIPELINE_NAT_OUTWARD_H_
