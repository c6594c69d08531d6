// Carries verdicts out: counts, replies, delivers, encapsulates, replicates.

#ifndef WEFT_EXECUTOR_H_
#define WEFT_EXECUTOR_H_

#include <functional>

#include "counters.h"
#include "io/port.h"
#include "io/underlay.h"
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

  Executor(int worker, const OpenPorts* ports, Underlay* underlay, Counters* counters,
           HandOver hand_over)
      : worker_(worker),
        ports_(ports),
        underlay_(underlay),
        counters_(counters),
        hand_over_(std::move(hand_over)) {}

  // `origin`: the endpoint that sent the frame, nullptr for the underlay.
  void Carry(const Verdict& verdict, const PacketKey& key, Port* origin, Frame* frame);

  // To an endpoint that this worker owns.
  void Deliver(Port* port, const Frame& frame);

 private:
  void ToPort(PortId id, const Frame& frame);
  void Flood(const Verdict& verdict, const PacketKey& key, const Port* origin, Frame* frame);

  const int worker_;
  const OpenPorts* const ports_;
  Underlay* const underlay_;
  Counters* const counters_;
  const HandOver hand_over_;
};

}  // namespace weft

#endif  // WEFT_EXECUTOR_H_
