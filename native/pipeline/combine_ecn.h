// What the underlay said of congestion, told to the inner packet's receiver (RFC 6040 section 4.2).

#ifndef WEFT_PIPELINE_COMBINE_ECN_H_
#define WEFT_PIPELINE_COMBINE_ECN_H_

#include "../pipeline/passage.h"
#include "../wire/frame.h"

namespace weft {

// `outer`: the outer header's traffic class. Drops what was marked on its way but whose sender
// would not understand it: to such a sender, loss is the mark.
Verdict CombineEcn(const Passage& passage, uint8_t outer, Frame* frame);

}  // namespace weft

#endif  // WEFT_PIPELINE_COMBINE_ECN_H_
