// Answers ARP requests and IPv6 neighbour solicitations for addresses that the neighbour table
// knows; others pass.

#ifndef WEFT_PIPELINE_NEIGHBOUR_RESPONDER_H_
#define WEFT_PIPELINE_NEIGHBOUR_RESPONDER_H_

#include "../pipeline/passage.h"
#include "../wire/frame.h"

namespace weft {

// Gratuitous ARP, ARP probes (RFC 5227) and duplicate address detection (RFC 4862) pass untouched:
// they do not ask where somebody is but whether anybody objects, and only the holder of the address
// may.
Verdict AnswerNeighbour(Passage* passage, Frame* frame);

}  // namespace weft

#endif  // WEFT_PIPELINE_NEIGHBOUR_RESPONDER_H_
