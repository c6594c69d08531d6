// The way to other hosts. UnderlaySocket is the real one, MemoryUnderlay its twin.

#ifndef WEFT_IO_UNDERLAY_H_
#define WEFT_IO_UNDERLAY_H_

#include <cstdint>

#include "../counters.h"
#include "../tables/rows.h"
#include "../wire/frame.h"
#include "../wire/packet_key.h"

namespace weft {

class Underlay {
 public:
  virtual ~Underlay() = default;

  // Encapsulates and queues; the frame's bytes must stay in place until Flush(). Counts what it
  // sends and drops.
  virtual void Send(VtepAddress vtep, uint32_t vni, const PacketKey& key, Frame* frame,
                    Counters* counters) = 0;
  virtual void Flush(Counters* counters) = 0;
};

}  // namespace weft

#endif  // WEFT_IO_UNDERLAY_H_
