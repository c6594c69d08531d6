// Frames from a local endpoint, outward.
//
//   1 Enter            whose is it, which VNI, is it a frame that a switch takes?
//   2 AnswerNeighbour  ARP, ND: answered here, not flooded
//   3 TranslateOutward for a VIP: to a backend, or refused
//   4 PassGateway      for the gateway's MAC: answered, or routed into another subnet's VNI
//   5 CheckMtu         too big: told so
//   6 ForwardByFdb     local endpoint, VTEP, or flood
//
// What carries the verdict out (encapsulation, segmentation, writing) is not here: io/.

#include "../pipeline/from_tap.h"

#include "../pipeline/classify.h"
#include "../pipeline/forward.h"
#include "../pipeline/gateway.h"
#include "../pipeline/mtu.h"
#include "../pipeline/nat_inward.h"
#include "../pipeline/nat_outward.h"
#include "../pipeline/neighbour_responder.h"
#include "../pipeline/passage.h"

namespace weft {

namespace {

Verdict Enter(Passage* passage, const Frame& frame) {
  PacketKey& key = passage->key;
  if (!Classify(frame, &key)) return Verdict::Drop(Counter::drop_runt_frame);
  if (key.source_mac.IsGroup() || key.source_mac.IsZero()) {
    return Verdict::Drop(Counter::drop_source_is_group);
  }
  if (key.destination_mac.IsBridgeReserved()) return Verdict::Drop(Counter::drop_bridge_reserved);

  const PortRow* port = passage->tables.ports.Find({passage->port});
  if (port == nullptr) return Verdict::Drop(Counter::drop_port_not_programmed);
  passage->trail.Note(TableId::kPort, port->record);
  passage->vni = port->vni;
  passage->network = passage->tables.networks.Find({port->vni});
  if (passage->network == nullptr) return Verdict::Drop(Counter::drop_port_not_programmed);
  passage->trail.Note(TableId::kNetwork, passage->network->record);
  return Verdict::Continue();
}

Verdict Decide(Passage* passage, Frame* frame) {
  if (Verdict v = Enter(passage, *frame); v.IsFinal()) return v;
  if (Verdict v = AnswerNeighbour(passage, frame); v.IsFinal()) return v;
  const NetworkRow& entered_by = *passage->network;
  if (Verdict v = TranslateOutward(passage, frame); v.IsFinal()) return v;
  if (Verdict v = PassGateway(passage, frame); v.IsFinal()) return v;
  if (Verdict v = CheckMtu(passage, frame, entered_by); v.IsFinal()) return v;
  return ForwardByFdb(passage);
}

}  // namespace

Verdict FromTap(const Tables& tables, PortId port, IcmpBudget* icmp_budget, Conntrack* conntrack,
                uint64_t now_ns, Frame* frame, PacketKey* key) {
  Passage passage{.tables = tables,
                  .now_ns = now_ns,
                  .icmp_budget = icmp_budget,
                  .conntrack = conntrack,
                  .port = port};
  Verdict verdict = Decide(&passage, frame);
  if (passage.translated && verdict.action == Verdict::Action::kReply) {
    TranslateReply(&passage, frame);
  }
  verdict.routed = passage.routed;
  verdict.trail = passage.trail;
  *key = passage.key;
  return verdict;
}

}  // namespace weft
