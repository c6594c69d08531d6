// ICMP errors to the endpoint that sent a frame: too big, time exceeded, unreachable.

#ifndef WEFT_PIPELINE_ICMP_ERROR_H_
#define WEFT_PIPELINE_ICMP_ERROR_H_

#include "../pipeline/passage.h"
#include "../wire/frame.h"

namespace weft {

enum class IcmpError : uint8_t {
  kTooBig,
  kTimeExceeded,
  kNoRoute,
  kHostUnreachable,
  kProtocolUnreachable,
  kPortUnreachable,
};

// Rewrites the frame into an error about itself, sent by `network`'s gateway (`network`: the row of
// the subnet that the frame came from). `mtu` for kTooBig. Drops instead where the RFCs forbid an
// error or the endpoint had enough of them.
Verdict ReplyWithIcmpError(Passage* passage, Frame* frame, const NetworkRow& network,
                           IcmpError error, uint16_t mtu = 0);

}  // namespace weft

#endif  // WEFT_PIPELINE_ICMP_ERROR_H_
