// The sweep: what time does to flows, and what rows that have changed do to those that are silent.

#ifndef WEFT_PIPELINE_SWEEP_FLOWS_H_
#define WEFT_PIPELINE_SWEEP_FLOWS_H_

#include <functional>

#include "../nat/conntrack.h"
#include "../tables/tables.h"
#include "../wire/frame.h"

namespace weft {

// How often a worker that has flows calls it, and how many it looks at: 100,000 flows in 5 s, for a
// thousandth of a core.
inline constexpr uint64_t kSweepEveryNs = 100'000'000;
inline constexpr uint32_t kSweepFlows = 2048;

// Removes what has expired and what has no client here any more. A client whose backend is lost is
// asked (pipeline/tcp_reset.h), so that it learns of it when it waits in silence. `send` delivers a
// frame to an endpoint; the trail of none of it is kept.
void SweepFlows(const Tables& tables, Conntrack* conntrack, uint64_t now_ns, uint32_t most,
                const std::function<void(PortId, Frame*)>& send);

}  // namespace weft

#endif  // WEFT_PIPELINE_SWEEP_FLOWS_H_
