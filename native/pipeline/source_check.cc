#include "../pipeline/source_check.h"

#include <algorithm>

namespace weft {

Verdict CheckSource(Passage* passage, VtepAddress source) {
  const NetworkRow& network = *passage->network;
  const MacAddress& mac = passage->key.source_mac;
  if (network.router != 0 && mac == network.gateway_mac) return Verdict::Continue();

  const FdbRow* row = passage->tables.fdb.Find({passage->vni, mac});
  if (row == nullptr) {
    const auto& learning = network.learning;
    const bool known = std::find(learning.begin(), learning.end(), source) != learning.end();
    return known ? Verdict::Continue() : Verdict::Drop(Counter::drop_unknown_source);
  }
  passage->trail.Note(TableId::kFdb, row->record);
  if (row->IsLocal() || row->vtep != source) return Verdict::Drop(Counter::drop_spoofed_source);
  return Verdict::Continue();
}

}  // namespace weft
