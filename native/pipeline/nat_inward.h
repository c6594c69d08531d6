// NAT inward: what comes to a client from a backend has come from the VIP.
//
// Not a stage of from_tap or from_underlay: these run where a frame comes in, and conntrack belongs
// to the worker of the client's endpoint. It is the last thing before a frame is written to a local
// endpoint, on the worker that writes it.

#ifndef WEFT_PIPELINE_NAT_INWARD_H_
#define WEFT_PIPELINE_NAT_INWARD_H_

#include "../pipeline/passage.h"
#include "../wire/frame.h"

namespace weft {

// Rewrites a frame for the endpoint at `port` when it belongs to a flow of that endpoint; else
// leaves it alone. The rows that were used are noted in `trail`.
void TranslateInward(const Tables& tables, Conntrack* conntrack, PortId port, uint64_t now_ns,
                     Frame* frame, Trail* trail);

// The same for an answer of the pipeline's own, to the frame of `passage`: an ICMP error about a
// packet that had been translated quotes what its sender never sent.
void TranslateReply(Passage* passage, Frame* frame);

}  // namespace weft

#endif  // WEFT_PIPELINE_NAT_INWARD_H_
