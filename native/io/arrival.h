// What a socket on the VXLAN port gives at once.

#ifndef WEFT_IO_ARRIVAL_H_
#define WEFT_IO_ARRIVAL_H_

#include <cstdint>

#include "../tables/rows.h"

namespace weft {

struct Arrival {
  uint8_t* bytes;  // from the VXLAN header on; `headroom` bytes before it are free
  uint32_t headroom;
  uint32_t length;
  // Several datagrams of this size, the last may be smaller. 0: it is one.
  uint32_t segment;
  // Of one that carries a superframe of UDP from a kernel on the same machine: what that is to be
  // cut into.
  uint32_t inner_segment;
  VtepAddress source;
  uint8_t tos;

  uint32_t datagrams() const { return segment == 0 ? 1 : (length + segment - 1) / segment; }
};

// `told`: what UDP_GRO says, 0 for nothing. It says the same of a run of datagrams and of a kernel
// peer's UDP superframe that came in one piece: there it is the size of the inner segments. The
// inner packet tells them apart, by its length.
Arrival ArrivalOf(uint8_t* bytes, uint32_t headroom, uint32_t length, uint32_t told,
                  VtepAddress source, uint8_t tos);

}  // namespace weft

#endif  // WEFT_IO_ARRIVAL_H_
