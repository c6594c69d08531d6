// Source check: the inner source MAC must belong to an endpoint of the host that sent the datagram.

#ifndef WEFT_PIPELINE_SOURCE_CHECK_H_
#define WEFT_PIPELINE_SOURCE_CHECK_H_

#include "../pipeline/passage.h"

namespace weft {

// For frames from the VTEP `source`. Strict: a MAC that the FDB does not know passes only from a
// learning peer of the network (a foreign VTEP whose endpoints nobody declares), and a MAC that the
// FDB has elsewhere never passes. The gateway's MAC passes from every host: each routes for its own
// endpoints.
Verdict CheckSource(Passage* passage, VtepAddress source);

}  // namespace weft

#endif  // WEFT_PIPELINE_SOURCE_CHECK_H_
