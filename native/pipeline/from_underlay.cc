// Datagrams from other hosts, inward.
//
//   1 Decapsulate     outer checks, VNI → network
//   2 Classify        the inner frame
//   3 CheckSource     the source MAC is one of that host's endpoints
//   4 CombineEcn      what the underlay said of congestion
//   5 RecoverOffload  what a kernel peer left undone
//   6 ForwardLocally  local endpoints only: split horizon

#include "../pipeline/from_underlay.h"

#include "../pipeline/classify.h"
#include "../pipeline/combine_ecn.h"
#include "../pipeline/forward.h"
#include "../pipeline/passage.h"
#include "../pipeline/recover_offload.h"
#include "../pipeline/source_check.h"
#include "../pipeline/vxlan_decap.h"

namespace weft {

namespace {

Verdict Decide(Passage* passage, VtepAddress source, uint8_t traffic_class, Frame* frame) {
  if (Verdict v = Decapsulate(passage, source, frame); v.IsFinal()) return v;
  PacketKey& key = passage->key;
  if (!Classify(*frame, &key)) return Verdict::Drop(Counter::drop_runt_frame);
  if (key.source_mac.IsGroup() || key.source_mac.IsZero()) {
    return Verdict::Drop(Counter::drop_source_is_group);
  }
  if (key.destination_mac.IsBridgeReserved()) return Verdict::Drop(Counter::drop_bridge_reserved);
  if (Verdict v = CheckSource(passage, source); v.IsFinal()) return v;
  if (Verdict v = CombineEcn(*passage, traffic_class, frame); v.IsFinal()) return v;
  RecoverOffload(*passage, frame);
  return ForwardLocally(passage);
}

}  // namespace

Verdict FromUnderlay(const Tables& tables, VtepAddress source, uint8_t traffic_class,
                     uint64_t now_ns, Frame* frame, PacketKey* key) {
  Passage passage{.tables = tables, .now_ns = now_ns, .icmp_budget = nullptr};
  Verdict verdict = Decide(&passage, source, traffic_class, frame);
  verdict.trail = passage.trail;
  *key = passage.key;
  return verdict;
}

}  // namespace weft
