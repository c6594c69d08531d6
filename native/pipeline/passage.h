// One frame's passage through the pipeline: what the stages are given, and what they have found out
// so far.

#ifndef WEFT_PIPELINE_PASSAGE_H_
#define WEFT_PIPELINE_PASSAGE_H_

#include <cstdint>

#include "../nat/conntrack.h"
#include "../pipeline/icmp_budget.h"
#include "../pipeline/verdict.h"
#include "../tables/tables.h"
#include "../wire/packet_key.h"

namespace weft {

struct Passage {
  // Given. No stage reads a clock or a random source of its own.
  const Tables& tables;
  uint64_t now_ns;
  IcmpBudget* icmp_budget;         // of the endpoint that sent the frame; nullptr on the way in
  Conntrack* conntrack = nullptr;  // of the worker that owns that endpoint; nullptr on the way in

  // Found out.
  PacketKey key{};
  PortId port = 0;   // where it came from; 0 on the way in
  uint32_t vni = 0;  // where it is to be forwarded: another subnet's after routing
  const NetworkRow* network = nullptr;  // the row of `vni`
  bool routed = false;
  bool translated = false;  // to a VIP's backend
  Trail trail{};
};

}  // namespace weft

#endif  // WEFT_PIPELINE_PASSAGE_H_
