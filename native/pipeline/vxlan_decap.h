// Decapsulation: outer checks, VNI → network, and the VXLAN header off.

#ifndef WEFT_PIPELINE_VXLAN_DECAP_H_
#define WEFT_PIPELINE_VXLAN_DECAP_H_

#include "../pipeline/passage.h"
#include "../wire/frame.h"

namespace weft {

// `frame` begins with the VXLAN header of a datagram from `source`; afterwards with the inner
// Ethernet header.
Verdict Decapsulate(Passage* passage, VtepAddress source, Frame* frame);

}  // namespace weft

#endif  // WEFT_PIPELINE_VXLAN_DECAP_H_
