#include "../pipeline/forward.h"

namespace weft {

namespace {

Verdict ToPort(const Passage& passage, PortId port) {
  Verdict verdict;
  verdict.action = Verdict::Action::kToPort;
  verdict.vni = passage.vni;
  verdict.port = port;
  return verdict;
}

Verdict Flood(const Passage& passage) {
  Verdict verdict;
  verdict.action = Verdict::Action::kFlood;
  verdict.counter = Counter::flooded;
  verdict.vni = passage.vni;
  verdict.network = passage.network;
  return verdict;
}

const FdbRow* Lookup(Passage* passage) {
  if (passage->key.destination_mac.IsGroup()) return nullptr;
  const FdbRow* row = passage->tables.fdb.Find({passage->vni, passage->key.destination_mac});
  if (row != nullptr) passage->trail.Note(TableId::kFdb, row->record);
  return row;
}

}  // namespace

Verdict ForwardByFdb(Passage* passage) {
  const FdbRow* row = Lookup(passage);
  if (row == nullptr) return Flood(*passage);
  if (row->IsLocal()) {
    if (row->port == passage->port) return Verdict::Drop(Counter::drop_to_own_port);
    return ToPort(*passage, row->port);
  }
  Verdict verdict;
  verdict.action = Verdict::Action::kToVtep;
  verdict.vni = passage->vni;
  verdict.vtep = row->vtep;
  return verdict;
}

Verdict ForwardLocally(Passage* passage) {
  const NetworkRow& network = *passage->network;
  if (!network.gateway_mac.IsZero() && passage->key.destination_mac == network.gateway_mac) {
    return Verdict::Drop(Counter::drop_gateway_from_underlay);
  }
  const FdbRow* row = Lookup(passage);
  if (row != nullptr) {
    if (!row->IsLocal()) return Verdict::Drop(Counter::drop_split_horizon);
    return ToPort(*passage, row->port);
  }
  return Flood(*passage);
}

}  // namespace weft
