// Pings of a VIP, answered without a backend: what is asked is whether the service has an address.

#ifndef WEFT_PIPELINE_VIP_ECHO_H_
#define WEFT_PIPELINE_VIP_ECHO_H_

#include "../pipeline/passage.h"
#include "../wire/frame.h"

namespace weft {

// Turns an echo request into its reply. A fragmented one is turned part by part: the first has the
// header, of the others only the addresses change.
Verdict AnswerVipEcho(Passage* passage, Frame* frame);

}  // namespace weft

#endif  // WEFT_PIPELINE_VIP_ECHO_H_
