// Forward: destination MAC → local endpoint, VTEP, or flood.

#ifndef WEFT_PIPELINE_FORWARD_H_
#define WEFT_PIPELINE_FORWARD_H_

#include "../pipeline/passage.h"

namespace weft {

// From a local endpoint: anywhere.
Verdict ForwardByFdb(Passage* passage);

// From the underlay: to local endpoints only. What one host has replicated, no other replicates
// again (split horizon).
Verdict ForwardLocally(Passage* passage);

}  // namespace weft

#endif  // WEFT_PIPELINE_FORWARD_H_
