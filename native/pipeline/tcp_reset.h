// TCP segments of the dataplane's own: a reset for what belongs to no flow, and the question that a
// client of a lost backend is asked.

#ifndef WEFT_PIPELINE_TCP_RESET_H_
#define WEFT_PIPELINE_TCP_RESET_H_

#include "../nat/flow.h"
#include "../pipeline/passage.h"
#include "../wire/frame.h"

namespace weft {

// Rewrites the TCP segment in `frame` into the reset that answers it (RFC 9293 section 3.10.7.1).
// The segment is not a reset itself.
Verdict ReplyWithReset(Passage* passage, Frame* frame);

// Writes into `frame` an acknowledgement from the VIP that its client cannot accept. RFC 9293
// section 3.10.7.4 has the client answer by one of its own, which tells what it expects next: to
// that a reset can be written that it must take. Nothing need be known of the flow's numbers.
void WriteProbe(Frame* frame, const Flow& flow, const MacAddress& client, const MacAddress& vip);

}  // namespace weft

#endif  // WEFT_PIPELINE_TCP_RESET_H_
