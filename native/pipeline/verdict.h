// What the pipeline decided about a frame, as a value: what to do, what to count, and the table
// rows it rests on.

#ifndef WEFT_PIPELINE_VERDICT_H_
#define WEFT_PIPELINE_VERDICT_H_

#include <cstdint>

#include "../counters.h"
#include "../tables/rows.h"
#include "../tables/tables.h"

namespace weft {

struct RowUsed {
  TableId table = TableId::kNone;
  RecordNumber record = 0;
};

// The rows that a verdict rests on, in the order in which they were read.
struct Trail {
  // The longest way (port, network, router, service, flow, neighbour, router, network, neighbour,
  // FDB, and at the end service and flow of another client) uses twelve.
  static constexpr int kMost = 12;
  RowUsed rows[kMost];
  int count = 0;

  void Note(TableId table, RecordNumber record) {
    if (count < kMost) rows[count++] = {table, record};
  }
};

struct Verdict {
  enum class Action : uint8_t {
    kContinue,  // not final: the next stage decides
    kDrop,      // `counter` says why
    kReply,   // the frame was rewritten into an answer to the endpoint that sent it; `counter` says
              // of which kind
    kToPort,  // to the local endpoint `port`
    kToVtep,  // to the host `vtep`, in `vni`
    kFlood,   // to all local endpoints of `network` but the sender, and (from an endpoint) all of
              // its VTEPs
  };

  Action action = Action::kContinue;
  Counter counter = Counter::kCount;
  bool routed = false;
  uint32_t vni = 0;
  PortId port = 0;
  VtepAddress vtep = 0;
  const NetworkRow* network = nullptr;  // valid as long as the reader stays online
  Trail trail;

  bool IsFinal() const { return action != Action::kContinue; }

  static Verdict Continue() { return {}; }
  static Verdict Drop(Counter reason) {
    Verdict verdict;
    verdict.action = Action::kDrop;
    verdict.counter = reason;
    return verdict;
  }
  static Verdict Reply(Counter kind) {
    Verdict verdict;
    verdict.action = Action::kReply;
    verdict.counter = kind;
    return verdict;
  }
};

}  // namespace weft

#endif  // WEFT_PIPELINE_VERDICT_H_
