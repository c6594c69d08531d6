// MTU: what does not fit into the network is told so, never lost in silence.

#ifndef WEFT_PIPELINE_MTU_H_
#define WEFT_PIPELINE_MTU_H_

#include "../pipeline/passage.h"
#include "../wire/frame.h"

namespace weft {

// `from` is the subnet that the frame entered by: its gateway speaks. The limit is that of
// passage->network. IPv4 gets "fragmentation needed" with or without DF: inside a subnet there is
// no router that could fragment, and a sender that is told learns.
Verdict CheckMtu(Passage* passage, Frame* frame, const NetworkRow& from);

}  // namespace weft

#endif  // WEFT_PIPELINE_MTU_H_
