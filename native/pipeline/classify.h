// Classify: frame → PacketKey.

#ifndef WEFT_PIPELINE_CLASSIFY_H_
#define WEFT_PIPELINE_CLASSIFY_H_

#include "../wire/frame.h"
#include "../wire/packet_key.h"

namespace weft {

// False for a runt: a frame without a whole Ethernet header. Everything else gets a key; what
// cannot be understood is kOther, because a switch forwards what it does not understand.
bool Classify(const Frame& frame, PacketKey* key);

}  // namespace weft

#endif  // WEFT_PIPELINE_CLASSIFY_H_
