// Carries verdicts out: counts, replies, delivers, encapsulates, replicates.

#ifndef WEFT_EXECUTOR_H_
#define WEFT_EXECUTOR_H_

#include <functional>

#include "counters.h"
#include "io/port.h"
#include "io/underlay.h"
#include "nat/conntrack.h"
#include "pipeline/verdict.h"
#include "tables/rcu_map.h"

namespace weft {

struct OpenPort {
  Port* port = nullptr;
};
using OpenPorts = RcuMap<PortKey, OpenPort>;

class Executor {
 public:
  // Hands a frame to the worker that owns `port`; false when that one is too far behind.
  using HandOver = std::function<bool(const Port& port, const Frame& frame)>;

  // `conntrack`: of the endpoints that this worker owns.
  Executor(int worker, const Tables* tables, Conntrack* conntrack, const OpenPorts* ports,
           Underlay* underlay, Counters* counters, HandOver hand_over)
      : worker_(worker),
        tables_(tables),
        conntrack_(conntrack),
        ports_(ports),
        underlay_(underlay),
        counters_(counters),
        hand_over_(std::move(hand_over)) {}

  // `origin`: the endpoint that sent the frame, nullptr for the underlay. What the way to a local
  // endpoint of this worker uses is noted in the verdict's trail.
  void Carry(Verdict* verdict, const PacketKey& key, Port* origin, uint64_t now_ns, Frame* frame);

  // To an endpoint that this worker owns: what comes from a VIP's backend is made to come from the
  // VIP.
  void DeliverInward(Port* port, uint64_t now_ns, Frame* frame, Trail* trail);
  // The same for what the dataplane has made itself.
  void Deliver(Port* port, const Frame& frame);
  const OpenPorts& ports() const { return *ports_; }

 private:
  void ToPort(PortId id, uint64_t now_ns, Frame* frame, Trail* trail);
  void Flood(Verdict* verdict, const PacketKey& key, const Port* origin, uint64_t now_ns,
             Frame* frame);

  const int worker_;
  const Tables* const tables_;
  Conntrack* const conntrack_;
  const OpenPorts* const ports_;
  Underlay* const underlay_;
  Counters* const counters_;
  const HandOver hand_over_;
};

}  // namespace weft

#endif  // WEFT_EXECUTOR_H_
